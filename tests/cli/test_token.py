"""The token of a server: from the environment, a private file, or, with a warning, an option."""

from pathlib import Path

import pytest

from autolora.cli.token import taken
from autolora.errors import TokenFile

VARIABLE = "AUTOLORA_DASHBOARD_TOKEN"


def test_a_token_on_the_command_line_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["autolora", "dashboard", "digits", "--token=canary"])
    assert taken(VARIABLE, "canary") == "canary"
    warned = capsys.readouterr().err
    assert f"{VARIABLE}_FILE" in warned
    assert "canary" not in warned
    monkeypatch.setattr("sys.argv", ["autolora", "dashboard", "digits"])
    monkeypatch.setenv(VARIABLE, "canary")
    assert taken(VARIABLE, "canary") == "canary"
    assert capsys.readouterr().err == ""


def test_a_file_holds_the_token_if_nobody_else_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taken(VARIABLE, None) is None
    file = tmp_path / "token"
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(file))
    with pytest.raises(TokenFile, match="No such file"):
        taken(VARIABLE, None)
    file.write_text("canary\n")
    file.chmod(0o644)
    with pytest.raises(TokenFile, match="mode 0644"):
        taken(VARIABLE, None)
    file.chmod(0o600)
    assert taken(VARIABLE, None) == "canary"
