"""Figures for Prometheus: a real server, really scraped, and the files that name them."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from autolora.errors import MissingExtra, TokenNeeded
from autolora.plots import exporter
from autolora.study.gauges import METRICS
from autolora.study.storage import open_storage
from autolora.study.store import Store

parser = pytest.importorskip("prometheus_client.parser", reason="no prometheus-client here")
Place = Any  # of conftest.py
DASHBOARDS = Path(__file__).parents[2] / "dashboards"
GRAFANA = DASHBOARDS / "grafana" / "autolora.json"
PROMETHEUS = DASHBOARDS / "prometheus"
COMMAND = str(Path(sys.executable).with_name("autolora"))


@contextmanager
def served(place: Place, *words: str, **variables: str) -> Iterator[str]:
    """The command, until it is interrupted; gives where it answers."""
    process = subprocess.Popen(
        [COMMAND, "metrics", "digits", "--port", "0", "--json", *words],
        cwd=place.folder,
        env=place.environment | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())["metrics"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0


def scrape(address: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as r:
        return str(r.read().decode())


@pytest.fixture(scope="session")
def scraped(finished: Place) -> str:
    with served(finished) as address:
        assert address.endswith("/metrics")
        scrape(address)
        return scrape(address)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """The values by name and what the labels say, those of the study first."""
    return {
        (
            sample.name,
            sample.labels.pop("study"),
            *dict(sorted(sample.labels.items())).values(),
        ): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_tells_how_the_study_stands(scraped: str) -> None:
    found = samples(scraped)
    assert found["autolora_up", "digits"] == 1
    assert found["autolora_trials", "digits", "search", "complete"] == 2
    assert found["autolora_trials", "digits", "baseline", "complete"] == 2
    assert found["autolora_study_state", "digits", "finished"] == 1
    assert found["autolora_study_state", "digits", "running"] == 0
    assert found["autolora_measurements", "digits", "done"] == 3
    assert found["autolora_budget_used_ratio", "digits", "trials"] == 1
    assert found["autolora_failed_attempts_total", "digits", "bug"] == 0
    assert found["autolora_example_passes_total", "digits"] == 4 * (2 * 16 * 4 - 2 * 4 + 2 * 60)
    assert found["autolora_best_objective", "digits", "loss"] > 0
    assert found["autolora_eta_seconds", "digits"] == 0


def test_every_metric_is_exported_with_its_kind_and_help(scraped: str) -> None:
    told = set(samples(scraped))
    for metric in METRICS:
        assert any(name == metric.name for name, *_ in told), metric.name
        assert f"# TYPE {metric.name} {metric.kind}\n" in scraped
        assert f"# HELP {metric.name} {metric.help}\n" in scraped
    assert {name for name, *_ in told} == {metric.name for metric in METRICS}


def expressions() -> dict[str, str]:
    """Everything in the files that Prometheus computes, by where it stands."""
    board = json.loads(GRAFANA.read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel["targets"]
    }
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["definition"]
            assert variable["query"]["query"] == variable["definition"]
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            found[rule["alert"]] = rule["expr"]
    return found


@pytest.mark.parametrize(("where", "expression"), expressions().items())
def test_files_name_what_is_exported(scraped: str, where: str, expression: str) -> None:
    named = set(re.findall(r"\bautolora_\w+", expression))
    assert named, where
    assert named <= {name for name, *_ in samples(scraped)}
    labels = {label for metric in METRICS if metric.name in named for label in metric.labels}
    for label in re.findall(r"[{,]\s*(\w+)\s*=~?\"", expression):
        assert label in labels | {"study"}
    board_labels = {"study", *labels, "__name__"}
    shown = {
        label
        for panel in json.loads(GRAFANA.read_text())["panels"]
        for target in panel["targets"]
        if target["expr"] == expression
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"])
    }
    assert shown <= board_labels


def test_every_metric_is_on_the_dashboard() -> None:
    text = GRAFANA.read_text()
    assert not [metric.name for metric in METRICS if metric.name not in text]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads(GRAFANA.read_text())
    assert board["schemaVersion"] >= 27
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert set(variables) == {"datasource", "study"}
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"].endswith(".")
        assert 0 < panel["gridPos"]["w"] <= 24 - panel["gridPos"]["x"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        assert all('study=~"$study"' in target["expr"] for target in panel["targets"])
    taken = [cell for panel in board["panels"] for cell in cells(panel["gridPos"])]
    assert len(set(taken)) == len(taken), "panels lie over each other"


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])]


def test_the_rules_say_what_to_do() -> None:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert "autolora " in rule["annotations"]["description"]


def test_prometheus_reads_the_port_of_the_command_and_the_names_of_ray() -> None:
    config = yaml.safe_load((PROMETHEUS / "scrape.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    plain, ray = config["scrape_configs"]
    assert plain["static_configs"] == [{"targets": ["127.0.0.1:9464"]}]
    renamed = ray["metric_relabel_configs"][0]
    for metric in METRICS:
        pattern = re.fullmatch(renamed["regex"], f"ray_{metric.name}")
        assert pattern
        assert pattern[1] == metric.name


def test_grafana_finds_data_source_and_dashboard() -> None:
    folder = DASHBOARDS / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/autolora.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards/autolora.yml").read_text())["providers"]
    assert provider["type"] == "file"


def test_others_need_a_token(finished: Place) -> None:
    said = finished.refused(2, "metrics", "digits", "--host", "0.0.0.0", "--port", "0")
    assert "AUTOLORA_METRICS_TOKEN" in said
    with served(finished, AUTOLORA_METRICS_TOKEN="a token") as address:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            scrape(address)
        assert "autolora_up" in scrape(address, Authorization="Bearer a token")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(
                urllib.request.Request(
                    address, data=b"", headers={"Authorization": "Bearer a token"}
                )
            )


def test_a_database_that_does_not_answer(finished: Place, tmp_path: Path) -> None:
    """What is scraped then says so, and nothing else."""
    storage = open_storage(finished.environment["AUTOLORA_STORAGE"], create=False)
    gone = Store(storage, "gone")
    text = [
        (sample.name, sample.labels, sample.value)
        for family in exporter.Collector(gone).collect()
        for sample in family.samples
    ]
    storage.close()
    assert text == [("autolora_up", {"study": "gone"}, 0.0)]


def test_a_server_without_the_library(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    store: Callable[..., Any] = Store
    with pytest.raises(MissingExtra, match=r"autolora\[metrics\]"):
        exporter.listen(store(None, "x"), host="127.0.0.1", port=0, token=None)
    with pytest.raises(TokenNeeded, match="AUTOLORA_METRICS_TOKEN"):
        exporter.listen(store(None, "x"), host="0.0.0.0", port=0, token="")
