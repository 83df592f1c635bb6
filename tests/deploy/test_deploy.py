"""What lies in deploy/, against the schemas of what reads it; no cluster is asked."""

import json
import os
import re
import subprocess
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
