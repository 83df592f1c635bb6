"""wav2vec2 and its kin: a weight-normed, grouped convolution gives positions.

Its weight is computed from two parameters at every call, so a merged delta would be lost. It is
refused, with what helps; all else is adapted. Baked, it is a target like any other.
"""

import pytest
import whole
from rows.speech import AS_THEY_COME, baked
from whole import Row

from autolora.errors import RefusedTarget
from autolora.lora import attach, refusals, targets

rows = pytest.mark.parametrize("row", AS_THEY_COME, ids=lambda row: row.name)


def weight(row: Row) -> str:
    return f"{row.name}.encoder.pos_conv_embed.conv.weight"


@rows
def test_as_it_comes_one_weight_is_refused(row: Row) -> None:
    model = row.model()
    assert [refusal.name for refusal in refusals(model)] == [weight(row)]
    with pytest.raises(RefusedTarget, match=r"parametrised already; bake it first: torch\.nn"):
        attach(model, {weight(row): 1})


@rows
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_as_it_comes_the_others_are_adapted(row: Row, mode: str) -> None:
    whole.it_equals_the_dense_delta(row, mode)
    whole.gradients_follow_the_chain_rule(row, mode)
    whole.every_target_matters(row)


@rows
def test_baked_it_answers_alike_and_has_one_target_more(row: Row) -> None:
    model = row.model()
    before, answer = {t.name for t in targets(model)}, row.run(model)
    plain = baked(model)
    whole.near(row.run(plain), answer, 1e-12)
    found = {t.name: t.kind for t in targets(plain)}
    assert {name: found[name] for name in found.keys() - before} == {weight(row): "grouped"}
    assert refusals(plain) == ()
