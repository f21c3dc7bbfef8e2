"""The evaluation gate of a user's CI, from the command line to the files."""

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from tests.evaluators.requests import REFUNDS
from tidegauge.cli import main


def answers(path: Path, name: str = "answers.jsonl") -> str:
    rows = [
        {
            "id": f"<{n}>",
            "intent": f"intent.{n % 2}",
            "source": "<b>docs</b>",
            "contexts": [REFUNDS],
            "response": "Zebras dance in Timbuktu." if n % 3 == 0 else "Refunds are paid within 14 days.",
            "bad": n % 3 == 0,
        }
        for n in range(30)
    ]
    rows.append({"id": "closed", "response": "Nothing to see.", "bad": False})
    (path / name).write_text("\n".join(json.dumps(row) for row in rows))
    return name


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    return main(["evaluate", answers(Path()), "--out", "out.jsonl", *arguments])


def test_a_page_with_its_plots_is_written(tmp_path: Path) -> None:
    assert run("--labels", "bad", "--report", "shown") == 0
    page = (tmp_path / "shown" / "report.html").read_text()
    assert "31 of 31 lines evaluated" in page
    assert "<td>overlap</td>" in page
    assert "&lt;b&gt;docs&lt;/b&gt;" in page
    assert "<b>docs</b>" not in page
    assert page.count("data:image/png;base64,") == 3
    for picture in ("roc.png", "reliability-overlap.png", "reliability-groundedness.png"):
        assert (tmp_path / "shown" / picture).read_bytes().startswith(b"\x89PNG")


def test_without_labels_there_is_a_page_too(tmp_path: Path) -> None:
    assert run("--report", "shown") == 0
    assert "Faithful by the deciding evaluator: 66.7%" in (tmp_path / "shown" / "report.html").read_text()


@pytest.mark.parametrize(
    ("threshold", "code"),
    [
        ("faithful=0.6", 0),
        ("faithful=0.7", 1),
        ("overlap.auroc=0.99", 0),
        ("overlap.f1=1.1", 1),
        ("rules.auroc=0.1", 1),
        ("overlap.aurco=0.5", 2),
        ("overlap.auroc=high", 2),
        ("nobody.auroc=0.5", 2),
        ("auroc=0.5", 2),
    ],
)
def test_a_threshold_fails_the_build(threshold: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--labels", "bad", "--fail-under", threshold) == code
    said = capsys.readouterr().err
    assert ("FAILED: " in said) == (code == 1)
    if code == 2:
        assert threshold.split("=", maxsplit=1)[0] in said


def test_junit_has_a_case_for_each_threshold_and_each_line(tmp_path: Path) -> None:
    assert run("--junit", "junit.xml", "--fail-under", "faithful=0.9") == 1
    suite = Xml.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("32", "11", "1")
    first = suite.find("testcase")
    assert first is not None
    assert first.get("name") == "faithful"
    failure = first.find("failure")
    assert failure is not None
    assert failure.get("message") == "faithful is 0.667, wanted at least 0.9"


def test_intervals_hold_their_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--labels", "bad") == 0
    found = json.loads(capsys.readouterr().out)["quality"]["overlap"]
    for name in ("auroc", "balanced_accuracy", "f1", "kappa"):
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high
    assert set(found["by_intent"]) == {"intent.0", "intent.1"}
