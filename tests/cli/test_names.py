"""A name that nobody knows is said to be none, wherever a command would otherwise act on it in silence."""

import json
from pathlib import Path

import pytest

from tests.support.logs import line
from tidegauge.cli import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with traffic of refunds.policy; the configuration names shipping.status besides."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    rows = [line(request_id=f"r-{n}", intent="refunds.policy") for n in range(20)]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (tmp_path / "tidegauge.yaml").write_text(
        "sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 0.5}\nintents: {shipping.status: {objective: 0.02}}\n"
    )
    assert main(["run"]) == 0
    for name in ("refunds.policy", "shipping.status", "refunds.polcy"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": [{"intent": name, "rate": 0.4}]}))
    return tmp_path


def commands(name: str) -> list[list[str]]:
    return [
        ["stops", "set", name, "--why", "x", "--for", "4h"],
        ["sampling", "set", "0.1", "--intent", name],
        ["sampling", "apply", f"{name}.json"],
        ["verdict", "--intent", name],
        ["drill", "--intent", name, "--rate", "0.3", "--healthy", "1"],
    ]


@pytest.mark.parametrize("command", commands("refunds.polcy"), ids=lambda command: " ".join(command[:2]))
def test_an_unknown_intent_is_refused_with_the_nearest_name(place: Path, capsys, command: list[str]):
    capsys.readouterr()
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "refunds.polcy: no request of it was read" in said.err
    assert "did you mean refunds.policy?" in said.err
    assert "--unseen" in said.err
    for show in (["stops"], ["sampling", "show"], ["drill", "--history"]):
        assert main(show) == 0
    assert "refunds.polcy" not in capsys.readouterr().out
    assert main([*command, "--unseen"]) == 0


@pytest.mark.parametrize("name", ["refunds.policy", "shipping.status"])
@pytest.mark.parametrize("which", range(4))
def test_an_intent_of_the_log_or_of_the_configuration_is_known(place: Path, name: str, which: int):
    assert main(commands(name)[which]) == 0


def test_all_intents_may_be_meant(place: Path, capsys):
    assert main(["stops", "set", "*", "--why", "x"]) == 0
    assert main(["sampling", "set", "0.1", "--intent", "*"]) == 0
    capsys.readouterr()
    assert main(["sampling", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["intent"] == "*"


def test_an_unknown_deployment_is_refused(place: Path, capsys):
    assert main(["slo", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)[0]["deployment"]["id"]
    command = ["sampling", "set", "0.1", "--intent", "refunds.policy", "--deployment"]
    assert main([*command, "nowhere"]) == 2
    assert "nowhere: no request of this deployment was read" in capsys.readouterr().err
    assert main([*command, known]) == 0
    assert main([*command, "nowhere", "--unseen"]) == 0


def test_where_nothing_is_known_yet_a_name_has_to_be_meant(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'logs/*.jsonl'}]\n")
    assert main(["stops", "set", "refunds.policy", "--why", "x"]) == 2
    assert "no intent is known yet" in capsys.readouterr().err
    assert main(["stops", "set", "refunds.policy", "--why", "x", "--unseen"]) == 0
    # A drill acts on nothing, and there is nothing that the name could be a wrong spelling of.
    assert main(["drill", "--intent", "refunds.policy", "--rate", "0.3", "--healthy", "1"]) == 0
    assert "knows any intent yet" in capsys.readouterr().err


def test_objectives_name_intents_too(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    objectives = tmp_path / "slo" / "objectives.yaml"
    objectives.write_text(
        objectives.read_text().replace('tidegauge.dev/intent: "*"', "tidegauge.dev/intent: refunds.policy")
    )
    assert main(["run"]) == 0
    capsys.readouterr()
    assert main(["verdict", "--intent", "refunds.policy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "inconclusive"
    assert main(["verdict", "--intent", "no\u001bthing"]) == 2
    assert "\u001b" not in capsys.readouterr().err


def test_a_name_of_the_log_neither_breaks_a_line_nor_moves_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "evil\x1b[2J\nrow\u202e"
    rows = [line(request_id=f"r-{n}", intent=name, model_version="m\x1b]0;t\x07", cohort="c\x9b") for n in range(60)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: a.jsonl}]\nsampling: {rate: 0.9}\n")
    assert main(["run"]) == 0
    known = ["--intent", name]
    for command in (["status"], ["slo"], ["slo", "budget", "--segments"], ["slo", "history"], ["tickets"], ["power"]):
        assert main(command) == 0
    for command in (["verdict", *known], ["attribute", *known], ["stops", "set", name, "--why", name], ["stops"]):
        assert main(command) == 0
    said = capsys.readouterr()
    assert not {*"\x1b\x07\x9b\u202e"} & {*said.out, *said.err}
    assert main(["slo"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
