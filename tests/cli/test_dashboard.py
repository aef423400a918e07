"""`deltanas-dashboard`, against a fake of what W&B's client sends and gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deltanas.cli.dashboard import main

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")
URL = "https://wandb.example"


class Server:
    """Keeps views by name, as W&B does; `fault` is raised instead of an answer."""

    app_url = URL

    def __init__(self) -> None:
        self.views: dict[str, dict[str, Any]] = {}
        self.fault: Exception | None = None
        self.projects = ["deltanas"]

    def execute_graphql(self, query: str, *, variables: Mapping[str, Any]) -> dict[str, Any]:
        if self.fault:
            raise self.fault
        if "mutation" not in query:
            if variables["projectName"] not in self.projects:
                return {"project": None}
            found = [v for v in self.views.values() if variables["viewName"] in v["name"]]
            return {"project": {"allViews": {"edges": [{"node": node} for node in found]}}}
        name = variables["name"]
        known = self.views.get(name)
        assert variables.get("id") == (known and known["id"])  # else there would be two
        view = {
            "id": known["id"] if known else f"id-{len(self.views)}",
            "name": name,
            "displayName": variables["displayName"],
            "spec": variables["spec"],
            "times": known["times"] + 1 if known else 1,
        }
        self.views[name] = view
        return {"upsertView": {"view": view}}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return what stands behind `wandb.Api`."""
    made = Server()

    class Api:
        def __init__(self) -> None:
            self._service_api = made

    monkeypatch.setattr("wandb.Api", Api)
    monkeypatch.setattr("wandb.termlog", lambda text: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return made


def push(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["push", "--entity", "me", *words]) == 0
    return capsys.readouterr().out.strip()


def test_pushing_twice_updates_one_workspace(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    first = push(capsys)
    assert first.startswith(f"{URL}/me/deltanas?nw=")
    ((name, view),) = server.views.items()
    spec = json.loads(view["spec"])
    spec["section"]["panelBankConfig"]["sections"] = []  # of an older version
    spec["section"]["runSets"][0]["search"]["query"] = "my own filter"
    server.views[name]["spec"] = json.dumps(spec)
    assert push(capsys) == first
    ((name, view),) = server.views.items()
    section = json.loads(view["spec"])["section"]
    assert view["times"] == 2
    assert len(section["panelBankConfig"]["sections"]) == 7
    assert section["runSets"][0]["search"]["query"] == "my own filter"


def test_one_that_was_deleted_is_made_anew(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    first = push(capsys)
    server.views.clear()
    assert main(["push", "--entity", "me"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() != first
    assert f"{first} is gone; this is a new one" in printed.err
    assert push(capsys) == printed.out.strip()


def test_projects_have_workspaces_of_their_own(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len({push(capsys), push(capsys, "--project", "other"), push(capsys)}) == 2
    assert len(server.views) == 2


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda server: setattr(server, "fault", OSError("no network")), "no network"),
        (lambda server: server.projects.clear(), "Project `me/deltanas` not found"),
    ],
)
def test_what_wandb_refuses_is_a_sentence(
    harm: Any, message: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    push(capsys)
    harm(server)
    assert main(["push", "--entity", "me"]) == 2
    error = capsys.readouterr().err
    assert "deltanas-dashboard: W&B did not take the workspace of me/deltanas: " in error
    assert message in error


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_memory_is_named(
    text: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deltanas").mkdir()
    (tmp_path / "deltanas/dashboards.json").write_text(text)
    assert main(["push", "--entity", "me"]) == 2
    assert "dashboards.json" in capsys.readouterr().err
    assert not server.views


def test_a_dump_is_what_would_be_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", str(tmp_path / "workspace.json")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'workspace.json'}\n"
    sections = json.loads((tmp_path / "workspace.json").read_text())["section"]
    names = [each["name"] for each in sections["panelBankConfig"]["sections"]]
    assert names[:2] == ["By cycle", "By ablation"]
    assert main(["dump"]) == 0
    assert json.loads(capsys.readouterr().out)["section"]
