"""Every mistake in a YAML file is one sentence that says where it stands."""

from pathlib import Path
from textwrap import dedent

import pytest

from autolora.errors import BadValue, BadYaml, NoSuchFile, UnknownKey, UsageError
from autolora.space.read import find, known, read_yaml
from autolora.space.spec import SpaceSpec
from autolora.study.description import StudySpec, described, read_study

SPACE = """\
ranks: [0, 1, 2, 4]
groups:
  - {name: all, kinds: [linear]}
  - name: rest
    match: "*"
training:
  learning_rate: {low: 0.001, high: 0.1}
"""
STUDY = """\
name: tiny
task: {type: image}
space: cnn
training: {steps: 4, evaluations: 2}
budget: {trials: 2}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(dedent(text))
    return file


def refused(folder: Path, text: str, model: type = SpaceSpec) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(UsageError) as error:
        read_yaml(written(folder, text), model)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_right_is_read(tmp_path: Path) -> None:
    spec = read_yaml(written(tmp_path, SPACE), SpaceSpec)
    assert spec.ranks == (0, 1, 2, 4)
    assert spec.groups[0].kinds == ("linear",)
    assert spec.groups[1].match == ("*",)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ranks: [0, 1\ngroups: {", "line 2, column 7"),
        ("a: b: c", "line 1, column 5"),
        ("ranks:\n\t- 1", "line 2, column 1"),
        ("a: *nobody", "line 1, column 4"),
        ("a: !!python/object/apply:os.system ['true']", "line 1, column 4"),
        ("{[1]: 2}", "line 1, column 2"),
        ("- a\n- b", "no mapping"),
        ("", "no mapping"),
        ("name: a\x07b", "special characters"),
        ("name: 2020-99-99", "month"),
        ("seed: " + "9" * 5000, "digits"),
        ("a: " + "[" * 3000, "nested"),
        ("name: a\nranks: [0, 1]\nname: b", 'line 3, column 1: the key "name" stands twice'),
        ("groups:\n  - {name: a, per: kind, name: a}", 'line 2, column 26: the key "name"'),
        ("a: &a {b: 1, c: *a, b: 2}", 'the key "b" stands twice'),
    ],
    ids=range(15),
)
def test_malformed(tmp_path: Path, text: str, where: str) -> None:
    said = refused(tmp_path, text)
    assert "mine.yaml cannot be read as YAML" in said
    assert where in said


def test_no_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(BadYaml, match="UTF-8"):
        read_yaml(file, SpaceSpec)


def test_too_large(tmp_path: Path) -> None:
    assert "larger than a megabyte" in refused(tmp_path, f"{SPACE}\n# {'x' * 1_000_000}")


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match=r"no file .*absent\.yaml"):
        read_yaml(tmp_path / "absent.yaml", SpaceSpec)


@pytest.mark.parametrize(
    ("right", "wrong", "line", "key", "near"),
    [
        ("ranks:", "rank:", 1, "rank", "ranks"),
        ("training:", "trainin:", 6, "trainin", "training"),
        ("learning_rate:", "learning_rte:", 7, "learning_rte", "learning_rate"),
        ("low:", "lo:", 7, "lo", "low"),
        ("kinds:", "kind:", 3, "kind", "kinds"),
        ("    match:", "    mach:", 5, "mach", "match"),
        ("ranks:", "list:", 1, "list", "ranks"),
        ("ranks:", "1:", 1, "1", "ranks"),
        ("kinds:", "str:", 3, "str", "stages"),
    ],
)
def test_misspelt_key(
    tmp_path: Path, right: str, wrong: str, line: int, key: str, near: str
) -> None:
    said = refused(tmp_path, SPACE.replace(right, wrong))
    assert said.startswith(f'{tmp_path}/mine.yaml, line {line}: unknown key "{key}"')
    assert near in said.partition("keys here: ")[2]


def test_misspelt_key_says_in_what(tmp_path: Path) -> None:
    assert 'unknown key "mach" in groups.1;' in refused(tmp_path, SPACE.replace("match", "mach"))


@pytest.mark.parametrize(
    ("right", "wrong", "line", "key", "near"),
    [
        ("budget:", "bugdet:", 5, "bugdet", "budget"),
        ("steps:", "step:", 4, "step", "steps"),
        ("trials:", "trails:", 5, "trails", "trials"),
    ],
)
def test_misspelt_key_of_a_study(
    tmp_path: Path, right: str, wrong: str, line: int, key: str, near: str
) -> None:
    said = refused(tmp_path, STUDY.replace(right, wrong), StudySpec)
    assert f'line {line}: unknown key "{key}"' in said
    assert near in said.partition("keys here: ")[2]


INLINE = """\
name: tiny
task: {type: image}
space:
  ranks: [0, 1]
  groups:
    - {name: all, kinds: [linear]}
  training:
    learning_rate: {low: 0.001, high: 0.1}
budget: {trials: 2}
"""


def test_a_question_is_answered_with_yes_or_no(tmp_path: Path) -> None:
    text = f"{STUDY}self_check: no\nobjective: {{and_parameters: yes}}\n"
    spec = read_yaml(written(tmp_path, text), StudySpec)
    assert spec.self_check is False
    assert spec.objective.and_parameters is True


def test_mistakes_in_a_space_inside_a_study(tmp_path: Path) -> None:
    assert isinstance(read_yaml(written(tmp_path, INLINE), StudySpec).space, SpaceSpec)
    said = refused(tmp_path, INLINE.replace("kinds", "kind"), StudySpec)
    assert 'line 6: unknown key "kind" in space.groups.0; did you mean "kinds"?' in said
    said = refused(tmp_path, INLINE.replace("[0, 1]", "[0, 3]"), StudySpec)
    assert "line 4: space.ranks is '[0, 3]': ranks are powers of two" in said


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("[0, 1, 2, 4]", "[0, 1, 3]", "line 1: ranks is '[0, 1, 3]': ranks are powers of two"),
        ("[0, 1, 2, 4]", "[]", "line 1: ranks is '[]'"),
        ("[0, 1, 2, 4]", "[0, 2, 4]", "powers of two in a row"),
        ("[0, 1, 2, 4]", "[-2, 4]", "powers of two in a row"),
        ("[0, 1, 2, 4]", "[2, 1]", "powers of two in a row"),
        ("[0, 1, 2, 4]", "[1, 1]", "powers of two in a row"),
        ("[0, 1, 2, 4]", "four", "line 1: ranks is 'four'"),
        ("[0, 1, 2, 4]", "[a]", "line 1: ranks.0 is 'a'"),
        ("low: 0.001", "low: 1", "low (1.0) is below high (0.1)"),
        ("low: 0.001", "low: .nan", "line 7: training.learning_rate.low is 'nan'"),
        ("low: 0.001", "low: 0", "line 7: training.learning_rate.low is '0'"),
        ("low: 0.001", "low: yes", "line 7: training.learning_rate.low is 'True': a yes or no"),
        ("[0, 1, 2, 4]", "[0, on, 2, 4]", "line 1: ranks is '[0, True, 2, 4]': a yes or no"),
        ("low: 0.001, ", "", "line 7: training.learning_rate.low: field required"),
        ("name: rest", "name: a.b", "line 4: groups.1.name is 'a.b'"),
        ('match: "*"', "per: stage", "`stages` goes with `per: stage`"),
        ('match: "*"', "stages: 3", "`stages` goes with `per: stage`"),
        ('match: "*"', "per: block", "line 5: groups.1.per is 'block'"),
        ('match: "*"', "match: 're:['", "line 5: groups.1.match"),
        ("name: rest", "name: all", "all"),
        ("  learning_rate", "  scale: {rule: constat}\n  learning_rate", "nearest: constant"),
        (
            "  learning_rate",
            "  scale: [{value: 1.0}, {value: 1.0}]\n  learning_rate",
            "line 7: training.scale",
        ),
    ],
)
def test_wrong_value(tmp_path: Path, right: str, wrong: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, SPACE.replace(right, wrong))


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("name: tiny", "name: ../tiny", "line 1: name is '../tiny'"),
        ("name: tiny\n", "", "name: field required"),
        ("trials: 2", "ft: 2", "nest allocates a budget; give budget.uniform_rank"),
        ("trials: 2", "trials: 2, uniform_rank: 1}\nstrategy: {name: nest", "give budget.ft"),
        ("trials: 2", "uniform_rank: 1}\nstrategy: {name: optuna", "a budget needs an end"),
        ("trials: 2", "uniform_rank: 1}\nstrategy: {name: nest, rnak: 2", "its options are rank"),
        ("trials: 2", "trials: yes", "line 5: budget.trials is 'True': a yes or no is no answer"),
        ("trials: 2", "trials: 0", "line 5: budget.trials is '0'"),
        ("trials: 2", "trials: 1, parameters: 1, uniform_rank: 1", "give one of them"),
        ("evaluations: 2", "evaluations: 9", "9 evaluations do not fit into 4 steps"),
        ("space: cnn", "sampler: {startup_trials: 2}\nspace: cnn", "a sampler says its name"),
        ("space: cnn", "pruner: {}\nspace: cnn", "a pruner says its name"),
        ("space: cnn", "sampler: tpe\nspace: cnn", "line 3: sampler is 'tpe'"),
        ("{type: image}", "{model: mobilenet_v2}", "a task says its type"),
        (
            "space: cnn",
            "objective: {and_parameters: true}\nsampler: {name: cmaes}\nspace: cnn",
            "line 4: sampler is \"{'name': 'cmaes'}\": cmaes takes one objective",
        ),
        ("space: cnn", "baselines: {uniform_ranks: [0]}\nspace: cnn", "uniform ranks are 1 or"),
    ],
)
def test_wrong_value_of_a_study(tmp_path: Path, right: str, wrong: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, STUDY.replace(right, wrong), StudySpec)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("sampler: {name: tpee}", "tpe"),
        ("pruner: {name: medain}", "median"),
        ("strategy: optun", "optuna"),
        ("backend: {name: proces}", "process"),
        ("task: {type: imag}", "image"),
        ("sampler: {name: tpe, startup_trail: 3}", "startup_trials"),
        ("pruner: {name: median, warmpu: 3}", "warmup"),
        ("sampler: {name: nobody.has_this}", "nobody.has_this"),
    ],
)
def test_unknown_name(tmp_path: Path, wrong: str, near: str) -> None:
    rest = "\n".join(line for line in STUDY.splitlines() if line[:4] != wrong[:4])
    with pytest.raises(UsageError, match=near):
        read_yaml(written(tmp_path, f"{rest}\n{wrong}"), StudySpec)


@pytest.mark.parametrize(
    "wrong",
    [
        "sampler: {name: tpe, startup_trials: many}",
        "sampler: {name: tpe, multivariate: 3.5}",
        "sampler: {name: grid, points: 0}",
        "sampler: {name: nsga2, crossover_probability: high}",
        "pruner: {name: median, warmup: [2]}",
    ],
)
def test_option_of_a_wrong_type(tmp_path: Path, wrong: str) -> None:
    said = refused(tmp_path, f"{STUDY}{wrong}", StudySpec)
    assert "line 6" in said


def test_every_option_is_recorded(tmp_path: Path) -> None:
    spec = read_yaml(written(tmp_path, f"{STUDY}sampler: {{name: tpe, candidates: 3}}"), StudySpec)
    assert spec.sampler == {
        "name": "tpe",
        "startup_trials": 10,
        "candidates": 3,
        "multivariate": True,
        "constant_liar": True,
    }
    assert spec.pruner == {"name": "median", "startup_trials": 5, "warmup": 2, "minimum_trials": 3}


def test_bare_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("cnn", "search_spaces").name == "cnn.yaml"
    Path("search_spaces").mkdir()
    Path("search_spaces/mine.yaml").write_text(SPACE)
    Path("search_spaces/cnn.yaml").write_text(SPACE)
    assert find("mine", "search_spaces") == Path("search_spaces/mine.yaml")
    assert find("cnn", "search_spaces") == Path("search_spaces/cnn.yaml"), "the user's own first"
    assert {"mine", "cnn", "uniform"} <= set(known("search_spaces"))
    with pytest.raises(NoSuchFile, match="by name there are uniform"):
        find("unifrm", "search_spaces")
    for nobody in ("a" * 400, "a" * 400 + ".yaml", "a\0b", ""):
        with pytest.raises(NoSuchFile, match="by name there are"):
            find(nobody, "search_spaces")
    with pytest.raises(NoSuchFile, match=r"no file cnn\.yml"):
        find("cnn.yml", "search_spaces")


def test_a_description_from_python() -> None:
    data = {
        "name": "x",
        "task": {"type": "image"},
        "space": "cnn",
        "budget": {"trials": 1},
    }
    spec = described(data)
    assert isinstance(spec.space, SpaceSpec)
    assert described(spec.model_dump(mode="json")) == spec, "as it stands in a database"
    with pytest.raises(UnknownKey, match='the study: unknown key "sed"; did you mean "seed"'):
        described({**data, "sed": 1})
    with pytest.raises(BadValue, match="the study: seed is '-1'"):
        described({**data, "seed": -1})
    with pytest.raises(BadValue, match="no samplers called"):
        described({**data, "sampler": {"name": "nobody"}})


def test_digest_of_a_study() -> None:
    spec = read_study("cola")
    assert spec.digest() == spec.with_trials(99).digest(), "it may go on longer"
    assert spec.digest() != spec.model_copy(update={"seed": 1}).digest()
