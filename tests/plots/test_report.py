"""The page holds everything, escapes everything, and needs nothing from outside."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import yaml
from plotly.offline import get_plotlyjs_version

from autolora.errors import StorageUnavailable
from autolora.plots.figures import drawn
from autolora.plots.report import facts, plain, report, write
from autolora.plots.searched import searched
from autolora.plots.verdict import verdict
from autolora.plots.winner import best_trial, winner

PLOTLY = re.compile(r"<script>\n/\*\*\n\* plotly\.js.*?</script>", re.DOTALL)
EVIL = '</script><img src=x onerror="alert(1)">{{ 7 * 7 }}&'


class Page(HTMLParser):
    """Elements by tag, with their text."""

    def __init__(self, text):
        super().__init__()
        self.starts, self.open, self.text = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.starts.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data.strip())

    def ids(self):
        return [attrs["id"] for _, attrs in self.starts if attrs.get("id")]


@pytest.fixture(scope="module")
def page(results):
    return report(results)


def test_small_and_self_contained(page):
    assert len(page.encode()) < 2_000_000
    own = PLOTLY.sub("", page)
    assert len(own) < len(page) - 1_000_000
    assert not re.search(r"""(src|href)=|url\(|@import|https?:""", own)
    assert "default-src 'none'" in own


def test_every_part_is_there(page, results):
    parsed = Page(page)
    headings = set(parsed.text["h2"])
    assert {figure.title for figure in drawn(results)} <= headings
    assert "How the search went" not in headings
    assert {"Results by arm", "The winning allocation", "The ledger"} <= headings
    assert len(parsed.ids()) == len(set(parsed.ids()))
    opening, _, numbers = verdict(results).sentence.partition(". ")
    assert f"{opening}." in parsed.text["p"]
    assert numbers.replace("+", "&#43;") in page or numbers in page
    assert "2 × the loss became nan at step 41; lower the learning rate" in parsed.text["li"]
    assert yaml.safe_load("\n".join(parsed.text["pre"])) == results.description


def test_labels_refer_to_what_exists(page):
    parsed = Page(page)
    ids = set(parsed.ids())
    labelled = [a["aria-labelledby"] for _, a in parsed.starts if a.get("aria-labelledby")]
    assert len(labelled) > 10
    assert all(set(label.split()) <= ids for label in labelled)


def test_figures_are_json_in_the_page(page, results):
    found = re.findall(r'<script type="application/json" data-of="(\w+)">(.*?)</script>', page)
    assert [name for name, _ in found] == [figure.name for figure in drawn(results)]
    assert [name for name, _ in found][:2] == ["pareto", "ranks"]
    for _, text in found:
        assert set(json.loads(text)) == {"data", "layout"}


def test_a_strategy_tells_how_its_search_went(worked):
    page = report(worked)
    parsed = Page(page)
    assert {"How the search went", "Where the compute went"} <= set(parsed.text["h2"])
    told = dict(searched(worked))
    assert told["τ of scores"] == "gates 0.58, energy 0.31"
    assert told["spent"] == "2.00 of 2.00 FT"
    assert told["trained to the end"] == "gates, trust 0.75, rate 0.3"
    assert set(told.values()) <= set(parsed.text["dd"])
    assert dict(facts(worked))["compute"] == "15.0 training runs"


def test_scores_that_were_not_trusted_are_called_so(worked):
    row = next(work for work in worked.works if work.arm == "search")
    low = replace(row, about={**row.about, "tau": {"gates": 0.1}, "trusted": None})
    assert dict(searched(replace(worked, works=(low,))))["score that is trusted"] == (
        "none reached 0.4"
    )
    none = replace(row, about={**row.about, "tau": {}, "trusted": None})
    told = dict(searched(replace(worked, works=(none,))))
    assert told["τ of scores"].startswith("not measured")
    assert "score that is trusted" not in told
    bare = replace(row, about={})
    assert searched(replace(worked, works=(bare,))) == []


def test_the_bias_of_choosing_stands_below_the_verdict(page, results):
    bias = verdict(results).bias
    assert bias
    words = Page(page).text["p"]
    sentence = next(i for i, text in enumerate(words) if "paired difference" in text)
    assert words[sentence + 1] == bias


@pytest.mark.parametrize("study", ["empty", "single", "failed", "worked"])
def test_writes_any_study(study, request):
    results = request.getfixturevalue(study)
    page = report(results)
    assert verdict(results).sentence.split(". ")[0] in page


def test_words_of_the_study_stay_words(results):
    row = replace(results.trials[12], arm=EVIL, state="complete", number=99)
    broken = replace(results.trials[13], state="failed", loss=None, metrics={}, reason=EVIL)
    study = replace(
        results,
        name=EVIL,
        description={"name": EVIL},
        trials=(row, broken, *results.trials),
        versions={EVIL: EVIL},
        importance={EVIL: 1.0},
    )
    page = report(study)
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    parsed = Page(page)
    assert parsed.text["h1"] == [EVIL]
    assert sum(tag == "script" for tag, _ in parsed.starts) == len(list(drawn(study))) + 2


def test_a_large_study_stays_small(results):
    row = next(t for t in results.trials if t.arm == "search" and t.state == "complete")
    targets = tuple(
        replace(results.targets[2], name=f"layers.{i}.{kind}.weight", layer=f"layers.{i}.{kind}")
        for i in range(32)
        for kind in "abcdefg"
    )
    trials = tuple(
        replace(
            row,
            number=n,
            loss=0.1 + n / 1000,
            metrics={},
            allocation={t.name: 1 + (n + i) % 16 for i, t in enumerate(targets)},
        )
        for n in range(1000)
    )
    study = replace(results, targets=targets, trials=trials, best=0, finals=())
    assert len(report(study).encode()) < 2_000_000


def test_written_whole_or_not_at_all(results, tmp_path):
    path = write(results, tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == report(results)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageUnavailable):
        write(results, blocked / "report.html")


def test_plotly_in_the_page_is_the_one_that_plotly_py_writes_for(page):
    version = re.search(r"plotly\.js \(cartesian - minified\) v(\d+)\.", page)
    assert version
    assert version[1] == get_plotlyjs_version().split(".")[0]
    assert "Licensed under the MIT license" in page


def test_the_winner_is_the_stored_best(results):
    found = winner(results)
    assert found.trial.number == results.best
    ranks = [r for kinds in found.ranks.values() for group in kinds.values() for r in group]
    assert len(ranks) == found.targets == 53
    assert sum(r > 0 for r in ranks) == found.adapted == len(found.trial.allocation)
    assert len(found.ranks["features.7"]["pointwise"]) == 2


def test_before_a_best_is_stored_the_search_comes_first(results, empty):
    assert best_trial(replace(results, best=None)).arm == "search"
    assert best_trial(empty) is None


def test_facts_count_states(results):
    assert dict(facts(results))["trials"].endswith("2 failed")


def test_plain_keeps_what_yaml_can_write():
    assert plain({"a": (1, {"b": None}), 2: range(3)}) == {
        "a": [1, {"b": None}],
        "2": "range(0, 3)",
    }
