"""Optuna's dashboard over a real study: who is let in, what is refused, what is shown."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import optuna
import pytest

from autolora.errors import CannotServe, MissingExtra, TokenNeeded
from autolora.plots.figures import drawn
from autolora.plots.publish import publish
from autolora.plots.serve import address, listen

pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
TOKEN = "a-long-tökèn"


@pytest.fixture(scope="module")
def study(tmp_path_factory, results):
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard') / 'study.db'}"
    study = optuna.create_study(study_name="digits", storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    publish(study, results)
    return study


@contextmanager
def running(study, **settings):
    settings = {"host": "127.0.0.1", "port": 0, "token": None, "writable": False} | settings
    with listen(study._storage, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield address(server)
        finally:
            server.shutdown()
            thread.join()


def ask(base, path="", method="GET", body=None, **headers):
    """Status, headers and body of one request; redirects are not followed."""
    connection = http.client.HTTPConnection(base.split("//")[1].strip("/"), timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/{path}", body=body, headers=named)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


@pytest.fixture(scope="module")
def guarded(study):
    with running(study, token=TOKEN) as base:
        yield base


@pytest.fixture(scope="module")
def open_to_me(study):
    with running(study) as base:
        yield base


def bearer(token):
    return {"Authorization": f"Bearer {token}".encode()}


def test_without_a_token_it_shows_the_study_to_this_machine(open_to_me):
    status, _, content = ask(open_to_me, "api/studies")
    assert status == 200
    assert [s["study_name"] for s in json.loads(content)["study_summaries"]] == ["digits"]
    assert ask(open_to_me, "dashboard/")[0] == 200


def test_our_figures_are_in_the_study(open_to_me, study, results):
    _, _, content = ask(open_to_me, f"api/studies/{study._study_id}")
    shown = json.loads(content)["plotly_graph_objects"]
    assert {g["id"] for g in shown} == {f"autolora-{figure.name}" for figure in drawn(results)}
    for graph in shown:
        assert len(graph["graph_object"]) < 100_000
        assert json.loads(graph["graph_object"])["data"]


def test_publishing_again_replaces(study, results, empty):
    publish(study, empty)
    publish(study, results)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    ids = {key.split(":")[2] for key in attributes if key.startswith("dashboard:plot_data:")}
    assert ids == {f"autolora-{figure.name}" for figure in drawn(results)}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_read_only_refuses_changes(open_to_me, study, method):
    path = f"api/studies/{study._study_id}"
    status, _, content = ask(open_to_me, path, method)
    assert status == 403
    assert b"--writable" in content
    assert optuna.load_study(study_name="digits", storage=study._storage)


def test_without_a_token_foreign_names_are_refused(open_to_me):
    assert ask(open_to_me, "api/studies", Host="rebound.example:80")[0] == 403
    assert ask(open_to_me, "api/studies", Host="localhost:80")[0] == 200


def test_a_token_is_needed(guarded):
    status, headers, _ = ask(guarded, "api/studies")
    assert status == 401
    assert headers["WWW-Authenticate"] == "Bearer"
    assert ask(guarded, "api/studies", **bearer("wrong"))[0] == 401
    assert ask(guarded, "api/studies", **bearer(""))[0] == 401
    assert ask(guarded, "api/studies?token=wrong")[0] == 401
    assert ask(guarded, "api/studies", Cookie="autolora_dashboard=wrong")[0] == 401
    assert ask(guarded, "api/studies", Authorization="Bearer \xff")[0] == 401


def test_the_right_token_opens(guarded):
    assert ask(guarded, "api/studies", **bearer(TOKEN))[0] == 200
    assert ask(guarded, "api/studies", "HEAD", **bearer(TOKEN))[0] != 401


def test_a_token_does_not_make_it_writable(guarded, study):
    path = f"api/studies/{study._study_id}"
    assert ask(guarded, path, "DELETE", **bearer(TOKEN))[0] == 403
    assert ask(guarded, path, "DELETE")[0] == 401
    assert ask(guarded, f"{path}?token={TOKEN_IN_ADDRESS}", "DELETE")[0] == 401


TOKEN_IN_ADDRESS = "a-long-t%C3%B6k%C3%A8n"


def test_a_token_in_the_address_becomes_a_cookie_once(guarded):
    status, headers, _ = ask(guarded, f"api/studies?a=1&token={TOKEN_IN_ADDRESS}")
    assert status == 303
    assert headers["Location"] == "/api/studies?a=1"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    assert ask(guarded, "api/studies", Cookie=cookie.split(";")[0])[0] == 200


def test_no_redirect_leaves_the_dashboard(guarded):
    _, headers, _ = ask(guarded, f"/elsewhere.example/?token={TOKEN_IN_ADDRESS}")
    assert headers["Location"] == "/elsewhere.example/"


def test_writable_changes_from_its_own_pages_only(study):
    with running(study, writable=True) as base:
        path = f"api/studies/{study._study_id}/note"
        note = json.dumps({"body": "hello", "version": 1})
        kind = {"Content_Type": "application/json"}
        foreign = ask(base, path, "PUT", note, Origin="http://evil.example", **kind)
        assert foreign[0] == 403
        own = ask(base, path, "PUT", note, Origin=base.strip("/"), **kind)
        assert own[0] == 204


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "example.org"])
@pytest.mark.parametrize("token", [None, ""])
def test_others_are_served_with_a_token_only(study, host, token):
    with pytest.raises(TokenNeeded, match="AUTOLORA_DASHBOARD_TOKEN"):
        listen(study._storage, host=host, port=0, token=token, writable=False)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 99999, "ports are 0 to 65535"),
        ("192.0.2.7", 0, "not this machine's"),
    ],
)
def test_an_address_it_cannot_have(study, host, port, reason):
    with pytest.raises(CannotServe, match=reason):
        listen(study._storage, host=host, port=port, token=TOKEN, writable=False)


def test_a_taken_port(study):
    with running(study) as base:
        port = int(base.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(CannotServe, match="another program uses"):
            listen(study._storage, host="127.0.0.1", port=port, token=None, writable=False)


def test_ipv6_loopback(study):
    try:
        with running(study, host="::1") as base, urllib.request.urlopen(base + "api/studies") as r:
            assert r.status == 200
    except (CannotServe, urllib.error.URLError) as error:
        pytest.skip(f"no IPv6 here: {error}")


WITHOUT = """
import sys
sys.modules["optuna_dashboard"] = None
import optuna
from autolora.errors import MissingExtra
from autolora.plots.serve import listen
try:
    listen(optuna.storages.InMemoryStorage(), host="127.0.0.1", port=0, token=None, writable=False)
except MissingExtra as error:
    print(error)
"""


def test_without_the_extra_one_sentence_says_what_to_install():
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert said == str(MissingExtra("the dashboard", "optuna-dashboard", "dashboard")) + "\n"


SERVE = """
import sys
import optuna
from autolora.plots.serve import serve
serve(optuna.storages.InMemoryStorage(), host="127.0.0.1", port=0, token=None, writable=False)
"""


def test_ctrl_c_ends_it_cleanly():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = process.stdout.readline()
    assert said.startswith("dashboard: http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
