"""Fire drills: a rehearsed regression is found, production is not touched, and a failure is somebody's ticket."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.logs import line
from tidegauge.cli import main
from tidegauge.drill.scenario import MARK, Plan, Scenario, invented
from tidegauge.testing.judge_server import Answer, JudgeRequest, JudgeServer

PLAN = Plan(intent="refunds.policy", seed=1, requests_per_day=400, healthy_days=2, days=2, base_rate=0.01, rate=0.3)


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a day of traffic."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "tidegauge.yaml").write_text(
        "sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 0.5}\n"
        "review: {labels_per_day: 40}\nintents: {refunds.policy: {owner: payments}}\n"
    )
    rows = [line(request_id=f"r-{n}", intent="refunds.policy", response=f"Ten days, {n}.") for n in range(300)]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    assert main(["run"]) == 0
    return tmp_path


def numbers(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """All that production shows, but for what tells the time that has passed."""
    capsys.readouterr()
    found = []
    for command in (["status"], ["slo"], ["incidents"], ["canaries"]):
        assert main([*command, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    for name in ("lag_seconds", "flow"):
        found[0].pop(name)
    assert main(["dump", "--canonical"]) == 0
    return [*found, capsys.readouterr().out]


def test_a_drill_passes_and_leaves_production_alone(production: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = numbers(capsys)
    assert main(["drill", "--intent", "refunds.policy", "--rate", "0.3", "--healthy", "1", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert "answers of production" in said.err
    assert "judged by heuristics alone." in said.err
    assert report["passed"]
    assert 0 < report["found_after_days"] <= 3
    assert report["named"] == "drill-prompt@2"
    assert 20 <= report["judged"] <= report["seen"]
    assert numbers(capsys) == before
    assert main(["drill", "--history", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [report["id"]]


def test_one_that_is_not_found_fails_with_a_ticket_that_the_next_one_closes(
    production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = ["drill", "--intent", "refunds.policy", "--healthy", "1"]
    assert main([*drill, "--rate", "0.02", "--days", "1"]) == 1
    assert "no webhook within 1 days" in capsys.readouterr().out
    assert main(["tickets", "--json"]) == 0
    found = {t["kind"]: t for t in json.loads(capsys.readouterr().out)}["drill_failed"]
    assert (found["owner"], found["subject"], found["state"]) == ("payments", {"intent": "refunds.policy"}, "open")
    assert main([*drill, "--rate", "0.4"]) == 0
    capsys.readouterr()
    assert main(["tickets", "--json"]) == 0
    assert {t["kind"]: t["state"] for t in json.loads(capsys.readouterr().out)}["drill_failed"] == "closed"
    assert main([*drill, "--rate", "0.4", "--unless-passed-within", "7d"]) == 0
    assert "has passed within 7d" in capsys.readouterr().err


def test_the_configured_judge_is_asked(production: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def verdict(request: JudgeRequest) -> Answer:
        made_up = any(word in request.record["response"] for word in ("In addition", "According to", "Please send"))
        return Answer("hallucinated" if made_up else "faithful")

    with JudgeServer(verdict) as server:
        text = (production / "tidegauge.yaml").read_text()
        (production / "tidegauge.yaml").write_text(
            f"{text}evaluation: {{evaluators: [rules, overlap, jury]}}\n"
            f"judges: {{a: {{base_url: '{server.base_url}', model: m}}, jury: {{panel: [a]}}}}\n"
        )
        assert main(["drill", "--intent", "refunds.policy", "--rate", "0.3", "--healthy", "1", "--json"]) == 0
        said = capsys.readouterr()
        report = json.loads(said.out)
        assert f"judged by {server.base_url}." in said.err
        assert server.counters.requests >= 20
    assert report["passed"]
    assert report["pending"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the intent"),
        (["--intent", "x", "--rate", "0.01"], "below --rate"),
        (["--intent", "x", "--days", "0"], "at least 1"),
    ],
)
def test_wrong_arguments_say_what_to_do(
    production: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["drill", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_log_is_marked_and_repeatable(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        scenario = Scenario(PLAN, [])
        for quarter in (0, scenario.quarters - 1):
            scenario.write_quarter(folder, quarter)
        texts.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert texts[0] == texts[1]
    rows = [json.loads(row) for text in texts[0] for row in text.splitlines()]
    assert all(row["request_id"].startswith(MARK) and row["experiment"] == MARK for row in rows)
    good = {request.response for request in invented(PLAN.intent)}
    assert all((row["response"] in good) is not scenario.truth[row["request_id"]] for row in rows)
    assert {row["prompt_version"] for row in rows} == {"drill-prompt@1", "drill-prompt@2"}
