"""What the documentation shows works as it is shown."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from evaluators.rubric import parse_rubric
from tests.support.logs import line
from tidegauge.cli import main
from tidegauge.config_load import load
from tidegauge.testing.judge_server import Answer, JudgeRequest, JudgeServer

DOCS = Path(__file__).parents[2] / "docs"
CONTEXT = "Refunds are paid within 14 days."


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    rows = [row.split(" # ")[0].strip() for block in blocks(path, "console") for row in block.splitlines()]
    return [shlex.split(row)[1:] for row in rows if row]


def verdict(request: JudgeRequest) -> Answer:
    return Answer("hallucinated" if "Mars" in request.record["response"] else "faithful")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a log, answers, gold cases and an own evaluator, and a judge on loopback."""
    monkeypatch.chdir(tmp_path)
    texts = ["Refunds take 14 days.", "Refunds come from Mars and cost $40."]
    (tmp_path / "logs").mkdir()
    rows = [line(request_id=f"r-{n}", response=f"{texts[n % 2]} {n}") for n in range(40)]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    answers = [
        {"id": n, "contexts": [CONTEXT], "response": texts[n % 2], "hallucinated": bool(n % 2)} for n in range(20)
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    gold = [{**a, "reviewer": who, "response": f"{a['response']} {a['id']}"} for a in answers for who in ("ann", "bob")]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    (tmp_path / "my_checks.py").write_text(blocks(DOCS / "evaluators.md", "python")[0])
    with JudgeServer(verdict) as server:
        (tmp_path / "tidegauge.yaml").write_text(
            "sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 1}\nreview: {labels_per_day: 200}\n"
            f"judge: {{base_url: '{server.base_url}', model: m}}\n"
            "evaluation: {plugins: ['my_checks:no_prices'], evaluators: [rules, overlap, no_prices, judge]}\n"
        )
        assert main(["run"]) == 0
        assert main(["review", "export", "cases.jsonl"]) == 0
        cases = map(json.loads, (tmp_path / "cases.jsonl").read_text().splitlines())
        labels = [
            {"request_id": c["request_id"], "hallucinated": "Mars" in c["response"], "reviewer": "ann"} for c in cases
        ]
        (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
        assert main(["review", "import", "labels.jsonl"]) == 0
        yield tmp_path


PAGES = (
    *("attacks", "evaluators", "rubrics", "evaluate"),
    *("judge-health", "canary", "drill", "rollback", "on-call"),
    *("objectives", "metrics", "attribution", "power", "surge", "scale"),
)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_works(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands(DOCS / f"{name}.md")
    assert found
    for arguments in found:
        assert main(arguments) == 0, (arguments, capsys.readouterr().err)


def test_the_configurations_shown_are_right(place: Path) -> None:
    shown = blocks(DOCS / "evaluators.md", "yaml")
    assert len(shown) == 3
    for text in shown:
        (place / "shown.yaml").write_text(text)
        load(place / "shown.yaml", {})
        assert main(["--config", "shown.yaml", "check"]) == 0


def test_the_sources_shown_are_right(place: Path) -> None:
    (text,) = blocks(DOCS / "sources.md", "yaml")
    (place / "shown.yaml").write_text(text)
    assert len(load(place / "shown.yaml", {}).sources) == 4


def test_the_rubric_shown_is_one() -> None:
    (text,) = blocks(DOCS / "rubrics.md", "yaml")
    assert parse_rubric(text.encode(), "docs").reference == yaml.safe_load(text)["name"] + "@1.1.0"


def test_the_test_server_shown_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = blocks(DOCS / "testing.md", "python")
    exec(compile(text, "docs/testing.md", "exec"), {})
    assert "http://127.0.0.1:" in capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["rollback", "on-call"])
def test_the_configurations_of_on_call_are_right(name: str, place: Path) -> None:
    (text,) = blocks(DOCS / f"{name}.md", "yaml")
    (place / "shown.yaml").write_text(text)
    load(place / "shown.yaml", {})
