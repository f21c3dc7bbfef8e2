"""Rubrics, gold and the past again, as users call them, with a judge over real HTTP."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluators.base import Outcome, silent
from evaluators.judge import Judge
from evaluators.rubric import _released, load_rubric, previous, rubrics
from tests.evaluators.requests import REFUNDS
from tests.support.logs import line
from tidegauge.cli import main
from tidegauge.domain import EvaluationState, Request
from tidegauge.errors import ArtifactChanged
from tidegauge.storage.dump import canonical
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import Answer, Fault, JudgeRequest, JudgeServer

FIRST_HASH = "e019f5ec0b94786c89bc976b1bb5d494"


class Mood:
    """What the judge does with records whose answer names Mars, by the rubric that it is asked with."""

    def __init__(self) -> None:
        self.blind: set[str] = set()

    def __call__(self, request: JudgeRequest) -> Answer:
        text = request.body["messages"][0]["content"]
        blind = any(word in text for word in self.blind)
        bad = "Mars" in request.record["response"] and not blind
        return Answer("hallucinated" if bad else "faithful", 0.9)


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[JudgeServer, Mood]]:
    monkeypatch.chdir(tmp_path)
    mood = Mood()
    with JudgeServer(mood) as server:
        (tmp_path / "tidegauge.yaml").write_text(
            f"sources: [{{files: 'logs/*.jsonl'}}]\nsampling: {{rate: 1}}\nreview: {{labels_per_day: 100}}\n"
            f"judge: {{base_url: '{server.base_url}', model: m}}\n"
        )
        yield server, mood


def gold_file(path: Path, cases: int = 40) -> str:
    rows = [
        {
            "id": f"g-{n}",
            "contexts": [REFUNDS],
            "response": f"Refunds come from Mars {n}." if n % 2 else f"Refunds take 14 days {n}.",
            "hallucinated": bool(n % 2),
        }
        for n in range(cases)
    ]
    (path / "gold.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "gold.jsonl"


def test_a_released_text_never_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_rubric("hallucination@1.0.0").content_hash == FIRST_HASH
    assert set(_released()) == set(rubrics())
    monkeypatch.setattr("evaluators.rubric._released", lambda: {"hallucination@1.0.0": "another"})
    with pytest.raises(ArtifactChanged, match=f"another released, {FIRST_HASH}"):
        load_rubric("hallucination@1.0.0")


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    for version in ("1.2.0", "1.10.0"):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / f"{version}.yaml").write_text("")
    assert [r for r in rubrics(tmp_path) if r.startswith("own")] == ["own@1.2.0", "own@1.10.0"]
    assert previous("own@1.10.0", tmp_path) == "own@1.2.0"
    assert previous("own@1.2.0", tmp_path) is None


def test_list_show_diff_and_lint(tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rubric", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 6
    assert main(["rubric", "show", "relevance@1.0.0"]) == 0
    assert capsys.readouterr().out.startswith("name: relevance")
    assert main(["rubric", "show", "relevance@1.0.0", "--prompt"]) == 0
    assert "Everything between them is data" in capsys.readouterr().out
    assert main(["rubric", "diff", "hallucination@1.0.0", "hallucination@1.1.0"]) == 0
    assert "+  required: [reason, quotes, label, confidence]" in capsys.readouterr().out
    assert main(["rubric", "show", "relevanse@1.0.0"]) == 2
    assert "did you mean relevance@1.0.0?" in capsys.readouterr().err
    (tmp_path / "bad.yaml").write_text("name: x\nversion: 1.0.0\nquestoin: y\n")
    assert main(["rubric", "lint", "bad.yaml"]) == 2
    assert "bad.yaml:3: questoin" in capsys.readouterr().err
    assert main(["rubric", "lint", "none.yaml"]) == 2


def test_a_version_as_good_as_the_last_is_released_and_fixed(
    tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path)
    assert main(["rubric", "new", "hallucination"]) == 0
    path = tmp_path / "rubrics" / "hallucination" / "1.2.0.yaml"
    assert main(["rubric", "lint", str(path)]) == 0
    capsys.readouterr()
    assert main(["rubric", "release", "hallucination@1.2.0", "--gold", gold, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["old"], report["passed"], report["cases"]) == ("hallucination@1.1.0", True, 40)
    assert report["new_agreement"]["kappa"]["estimate"] == 1.0
    path.write_text(path.read_text().replace("One unsupported claim is enough", "Two unsupported claims are needed"))
    assert main(["rubric", "release", "hallucination@1.2.0", "--gold", gold]) != 0
    said = capsys.readouterr().err
    assert "its content changed under the same version" in said
    (tmp_path / "tidegauge.yaml").write_text(
        (tmp_path / "tidegauge.yaml").read_text().replace("model: m", "model: m, rubric: hallucination@1.2.0")
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(line() + b"\n")
    assert main(["run"]) != 0
    assert "its content changed under the same version" in capsys.readouterr().err


def test_a_version_that_agrees_less_is_refused_with_the_cases_that_changed(
    tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path)
    assert main(["rubric", "new", "hallucination"]) == 0
    path = tmp_path / "rubrics" / "hallucination" / "1.2.0.yaml"
    path.write_text(path.read_text().replace("Go through the response", "Walk lazily through the response"))
    judge[1].blind.add("Walk lazily")
    capsys.readouterr()
    assert main(["rubric", "release", "hallucination@1.2.0", "--gold", gold]) == 1
    said = capsys.readouterr().out
    assert "REFUSED: sensitivity 0.000 is below" in said
    assert said.count("changed: g-") == 20


@pytest.mark.parametrize("answered", [0, 45], ids=["from the start", "while the older version is asked"])
def test_nothing_is_released_where_the_judge_cannot_be_asked(
    answered: int, tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path)
    assert main(["rubric", "new", "hallucination"]) == 0
    judge[0].fail([*[None] * answered, *[Fault("status", 401)] * (80 - answered)])
    capsys.readouterr()
    assert main(["rubric", "release", "hallucination@1.2.0", "--gold", gold]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r".*nothing is released: .* about g-\d+: pending: .* answers 401 .*\n", said.err)
    assert not (tmp_path / "tidegauge.db").exists()


def test_nothing_is_released_while_a_minority_of_a_panel_is_down(
    tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    gold = gold_file(tmp_path)
    with JudgeServer(judge[1]) as third:
        member = f"{{base_url: '{judge[0].base_url}', model: m}}"
        (tmp_path / "tidegauge.yaml").write_text(
            f"judges:\n  one: {member}\n  two: {member}\n  three: {{base_url: '{third.base_url}', model: m}}\n"
            "  jury: {panel: [one, two, three]}\n"
        )
        asked = ["rubric", "release", "hallucination@1.1.0", "--gold", gold, "--judge", "jury"]
        assert main(asked) == 0
        capsys.readouterr()
        third.fail([Fault("status", 401)] * 80)
        assert main(asked) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert re.fullmatch(r".*nothing is released: jury could not be asked about .* answers 401 .*\n", said.err)


def test_gold_cases_of_the_store_release_no_rubric_of_another_indicator(
    tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"response": "It is free.", "contexts": [REFUNDS], "intent": "x", "hallucinated": True}
    assert main(["gold", "add", labels(tmp_path, *({**case, "reviewer": name} for name in ("ann", "bob")))]) == 0
    capsys.readouterr()
    assert main(["rubric", "release", "relevance@1.0.0"]) == 2
    assert "relevance@1.0.0 measures answer_relevance, and the gold cases of the store" in capsys.readouterr().err
    assert judge[0].counters.requests == 0
    assert main(["rubric", "release", "relevance@1.0.0", "--gold", gold_file(tmp_path)]) == 0


def test_nothing_is_released_on_a_spent_budget(
    tmp_path: Path, judge: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def spent(self: Judge, request: Request, draw: int = 0) -> Outcome:
        return Outcome(state=EvaluationState.UNSCORED, score=silent(self, "budget spent"), spent=True)

    monkeypatch.setattr(Judge, "evaluate", spent)
    assert main(["rubric", "release", "hallucination@1.1.0", "--gold", gold_file(tmp_path)]) == 1
    assert "could not be asked about g-0: budget spent" in capsys.readouterr().err


def test_without_gold_or_judge_it_says_what_to_do(
    tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rubric", "release", "hallucination@1.1.0"]) == 2
    assert "tidegauge gold add" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.db*"))
    (tmp_path / "tidegauge.yaml").write_text("{}")
    assert main(["rubric", "release", "hallucination@1.1.0", "--gold", gold_file(tmp_path)]) == 2
    assert "has no base_url" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"response": "b"}, "gold, line 2: the id 2 is that of line 1 too"),
        ({"id": "3"}, "gold, line 2: there is no response"),
        ({"id": "3", "response": ""}, "gold, line 2: there is no response"),
    ],
)
def test_a_gold_file_loses_no_case(
    second: dict[str, str], said: str, tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an id a case is named by its line."""
    rows = [{"id": "2", "response": "a", "hallucinated": True}, {**second, "hallucinated": False}]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["rubric", "release", "hallucination@1.1.0", "--gold", "gold.jsonl"]) == 2
    assert said in capsys.readouterr().err


def labels(path: Path, *rows: Any) -> str:
    (path / "labels.jsonl").write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return "labels.jsonl"


def ingest(folder: Path, count: int = 12) -> str:
    (folder / "logs").mkdir()
    rows = [
        line(request_id=f"r-{n}", response=f"Refunds come from Mars {n}." if n % 3 == 0 else f"Within {n} days.")
        for n in range(count)
    ]
    (folder / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    assert main(["run"]) == 0
    return f"sqlite:///{folder}/tidegauge.db"


def everything(url: str) -> tuple[bytes, Any, list[Any]]:
    """The dump, the status and the sums: what gold and rejudging must leave alone."""
    store = Store(url)
    with store.read() as tx:
        sums = [dict(row) for row in tx.rows("keys_behind")] + [
            dict(r) for r in tx.rows("label_counts", indicator="hallucination", since=0)
        ]
        found = b"".join(canonical(tx)), {k: v for k, v in status(tx, 0).items() if k != "evaluation"}, sums
    store.close()
    return found


def test_gold_counts_every_line_and_is_apart_from_all_else(
    tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ingest(tmp_path)
    before = everything(url)
    own = {"response": "It is free.", "contexts": [REFUNDS], "intent": "x", "hallucinated": True}
    file = labels(
        tmp_path,
        {"request_id": "r-1", "hallucinated": False, "reviewer": "ann"},
        {"request_id": "r-1", "hallucinated": False, "reviewer": "bob"},
        {"request_id": "r-1", "hallucinated": False, "reviewer": "ann"},
        {"request_id": "nobody", "hallucinated": False, "reviewer": "ann"},
        {**own, "reviewer": "ann"},
        {**own, "reviewer": "bob", "hallucinated": False},
        {"request_id": "r-2", "hallucinated": True, "reviewer": "ann"},
        {"request_id": "r-2", "hallucinated": False, "reviewer": "ann"},
        "nonsense",
        {"hallucinated": True, "reviewer": "ann"},
        {"request_id": "r-3", "hallucinated": True, "reviewer": " "},
    )
    capsys.readouterr()
    assert main(["gold", "add", file]) == 0
    report = json.loads(capsys.readouterr().out)
    counts = {k: report[k] for k in ("added", "labelled", "changed", "doubled", "unknown", "bad")}
    assert counts == {"added": 3, "labelled": 2, "changed": 1, "doubled": 1, "unknown": 1, "bad": 3}
    assert sum(counts.values()) == 11
    assert main(["gold", "list", "--json"]) == 0
    states = {c["id"]: (c["state"], c["hallucinated"]) for c in json.loads(capsys.readouterr().out)}
    assert states.pop("r-1") == ("confirmed", False)
    assert states.pop("r-2") == ("waiting", None)
    assert list(states.values()) == [("contested", None)]
    assert everything(url) == before


def test_the_past_is_judged_again_in_the_shadow(
    tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    server, mood = judge
    url = ingest(tmp_path)
    before = everything(url)
    mood.blind.add("Quote the words")
    again = ["rejudge", "--since", "2026-01-01T00:00:00Z", "--rubric", "hallucination@1.1.0", "--json"]
    capsys.readouterr()
    assert main(again) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["compared"], found["judged"], found["pending"]) == (12, 12, 0)
    assert found["table"] == {"faithful -> faithful": 8, "hallucinated -> faithful": 4}
    assert [d["request_id"] for d in found["disagreements"]] == ["r-0", "r-3", "r-6", "r-9"]
    asked = server.counters.requests
    assert main(again) == 0
    assert server.counters.requests == asked
    assert everything(url) == before


def test_what_could_not_be_asked_is_taken_up_by_the_same_run(
    tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    server, _ = judge
    ingest(tmp_path)
    server.fail([Fault("status", 404)] * 5)
    again = ["rejudge", "--since", "2026-01-01T00:00:00Z", "--rubric", "hallucination@1.1.0", "--json"]
    capsys.readouterr()
    assert main(again) == 0
    said = capsys.readouterr()
    first = json.loads(said.out)
    assert (first["judged"], first["pending"]) == (7, 5)
    assert "5 could not be asked; go on with the same command" in said.err
    assert main(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["judged"], second["compared"], second["run"]) == (5, 12, first["run"])


def test_what_a_spent_budget_left_is_taken_up_by_the_same_run(
    tmp_path: Path, judge: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tidegauge.service.rejudge.PORTION", 6)
    ingest(tmp_path, 24)
    config = (tmp_path / "tidegauge.yaml").read_text()
    again = ["rejudge", "--since", "2026-01-01T00:00:00Z", "--rubric", "hallucination@1.1.0", "--json"]
    capsys.readouterr()
    (tmp_path / "tidegauge.yaml").write_text(config.replace("model: m", "model: m, budget: {calls_per_day: 28}"))
    assert main(again) == 0
    said = capsys.readouterr()
    first = json.loads(said.out)
    assert (first["judged"], first["unscored"], first["pending"], first["spent"]) == (4, 0, 2, 2)
    assert "the day's budget is spent; go on tomorrow with the same command" in said.err
    (tmp_path / "tidegauge.yaml").write_text(config)
    assert main(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["judged"], second["compared"], second["spent"], second["run"]) == (20, 24, 0, first["run"])


def test_a_judge_of_something_else_takes_no_part_in_the_cascade(
    tmp_path: Path, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tidegauge.yaml"
    config.write_text(config.read_text().replace("model: m", "model: m, rubric: relevance@1.0.0"))
    assert main(["check"]) == 2
    said = capsys.readouterr().err
    assert "judge.rubric: relevance@1.0.0 measures answer_relevance, not hallucination" in said
    assert "evaluation.indicators" in said


@pytest.mark.parametrize("name", ["judge", "jury"])
def test_the_past_is_judged_again_for_hallucination_only(
    name: str, tmp_path: Path, judge: tuple[JudgeServer, Mood], capsys: pytest.CaptureFixture[str]
) -> None:
    url = ingest(tmp_path)
    config = tmp_path / "tidegauge.yaml"
    config.write_text(config.read_text() + "judges: {jury: {panel: [judge]}}\n")
    asked, before = judge[0].counters.requests, everything(url)
    again = ["rejudge", "--since", "2026-01-01T00:00:00Z", "--judge", name]
    capsys.readouterr()
    assert main([*again, "--rubric", "refusal@1.0.0"]) == 2
    said = capsys.readouterr()
    assert "rejudge: refusal@1.0.0 measures refusal, not hallucination; name a judge" in said.err
    assert "evaluation.indicators" in said.err
    assert (said.err.count("\n"), judge[0].counters.requests, everything(url)) == (1, asked, before)
    assert main([*again, "--rubric", "factuality@1.0.0"]) == 0


def test_own_rubrics_and_own_evaluators_may_lie_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "rubrics" / "hallucination").mkdir(parents=True)
    (tmp_path / "another.py").write_text("def another(request):\n    return 0.5\n")
    (tmp_path / "tidegauge.yaml").write_text(
        "evaluation: {plugins: ['another:another'], evaluators: [rules, another, judge]}\n"
        "judge: {base_url: 'http://127.0.0.1:1/v1', model: m}\n"
    )
    # In a process of its own: here the shipped rubrics have been found long ago.
    command = [sys.executable, "-P", "-m", "tidegauge.cli", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hallucination@" in done.stdout
