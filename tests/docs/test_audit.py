"""What `make audit` says of the answers of pip-audit; nobody is asked."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit"


@pytest.mark.parametrize(
    ("says", "ends", "code", "said"),
    [
        ("No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("Found 2 known vulnerabilities in 1 package", 1, 1, "Found 2 known"),
        ("ERROR: connection refused", 1, 2, "not audited: pip-audit has no answer"),
    ],
)
def test_no_answer_is_not_taken_for_a_good_one(
    tmp_path: Path, says: str, ends: int, code: int, said: str
) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\necho '{says}'\nexit {ends}\n")
    tool.chmod(0o755)
    ran = subprocess.run(
        [str(SCRIPT)],
        env={"PATH": "/usr/bin:/bin", "AUDIT": str(tool)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr
