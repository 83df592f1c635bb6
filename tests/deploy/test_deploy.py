"""What lies in deploy/, against the schemas of what reads it; no cluster is asked."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
PAIRS = [
    ("kuberay/cluster.yaml", "raycluster"),
    ("kuberay/job.yaml", "rayjob"),
    ("kuberay/network.yaml", "networkpolicy"),
    ("compose.yaml", "compose"),
]


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def schema(name: str) -> Any:
    return json.loads((HERE / f"{name}.schema.json").read_text())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_manifest_is_what_its_reader_wants(name: str, kind: str) -> None:
    jsonschema.validate(read(name), schema(kind))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_misspelt_key_is_seen(name: str, kind: str) -> None:
    broken = {**read(name), "sepc": {}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema(kind))


def test_the_cluster_of_ray_up_is_one_by_rays_own_schema() -> None:
    ray = pytest.importorskip("ray")
    own = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(read("ray/cluster.yaml"), own)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**read("ray/cluster.yaml"), "max_worker": 1}, own)


@pytest.mark.parametrize("name", ["slurm/search.sbatch", "entrypoint.sh"])
def test_a_script_can_be_read_by_its_shell(name: str) -> None:
    shell = (DEPLOY / name).read_text().partition("\n")[0].removeprefix("#!")
    subprocess.run([shell, "-n", str(DEPLOY / name)], check=True)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """The job of SLURM with stand-ins for what only a cluster has; its search is a script."""
    stand_ins = {
        "scontrol": "echo node-1; echo node-2",
        "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
        "ray": '[[ "$1" == status ]] || exec sleep 600',
    }
    started: list[subprocess.Popen[str]] = []

    def begin(search: str) -> "subprocess.Popen[str]":
        for name, text in {**stand_ins, "autolora": search}.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        given = {
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AUTOLORA_STORAGE": "postgresql+psycopg://ada@db/studies",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "node-[1-2]",
            "SLURM_CPUS_PER_TASK": "1",
        }
        script = str(DEPLOY / "slurm" / "search.sbatch")
        started.append(
            subprocess.Popen(
                ["bash", script, "digits"], env=given, text=True, stdout=subprocess.PIPE
            )
        )
        return started[-1]

    yield begin
    for each in started:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("code", [0, 3, 4])
def test_a_job_of_slurm_ends_as_its_search_does(
    job: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path, code: int
) -> None:
    assert job(f"exit {code}").wait(60) == code
    assert not list(tmp_path.glob(".autolora-ray-*")), "the token is gone"


@pytest.mark.parametrize("code", [0, 130])
def test_a_job_that_is_to_end_waits_for_its_search_and_ends_as_it_does(
    job: Callable[[str], "subprocess.Popen[str]"], code: int
) -> None:
    search = (
        f"trap 'sleep 1; echo given back; exit {code}' TERM; echo up; while :; do sleep 0.1; done"
    )
    running = job(search)
    assert running.stdout
    assert running.stdout.readline() == "up\n"
    running.terminate()
    assert running.stdout.readline() == "given back\n"
    assert running.wait(60) == code


def test_the_entrypoint_hands_on_the_password_of_a_file_only(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("canary\n")
    said = subprocess.run(
        [str(DEPLOY / "entrypoint.sh"), "sh", "-c", 'echo "$PGPASSWORD"; echo "$@"', "x", "a b"],
        env={**os.environ, "PGPASSWORD_FILE": str(secret)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "canary\na b\n"


def test_every_ray_node_asks_for_a_token_and_gets_its_password_by_reference() -> None:
    job = read("kuberay/job.yaml")["spec"]["rayClusterSpec"]
    for cluster in (read("kuberay/cluster.yaml")["spec"], job):
        assert cluster["authOptions"] == {"mode": "token"}
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            (container,) = group["template"]["spec"]["containers"]
            variables = {each["name"]: each for each in container["env"]}
            assert "secretKeyRef" in variables["PGPASSWORD"]["valueFrom"]
            assert "@" in variables["AUTOLORA_STORAGE"]["value"]


def test_no_file_holds_a_password() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert not re.search(r"://[^/\s@:]+:[^/\s@]+@", path.read_text()), path


def test_the_database_reaches_no_network_and_ports_stay_on_this_machine() -> None:
    services = read("compose.yaml")["services"]
    assert "ports" not in services["database"]
    assert services["worker"]["depends_on"]["database"] == {"condition": "service_healthy"}


def test_the_version_of_ray_is_the_pinned_one() -> None:
    pinned = re.search(r"^ray==(\S+)", (DEPLOY.parent / "constraints.txt").read_text(), re.M)
    if pinned is None:
        pytest.skip("constraints.txt does not pin ray")
    job = read("kuberay/job.yaml")["spec"]["rayClusterSpec"]
    for cluster in (read("kuberay/cluster.yaml")["spec"], job):
        assert cluster["rayVersion"] == pinned.group(1)


def test_the_page_names_every_file() -> None:
    page = (DEPLOY / "README.md").read_text()
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert path.relative_to(DEPLOY).as_posix() in page, path
