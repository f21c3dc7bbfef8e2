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


MALFORMED = ["{", '{"id": 1}', *["[]"] * 48]


@pytest.mark.parametrize(
    ("bad", "arguments", "code"),
    [
        (50, ["--fail-under", "faithful=0.1"], 1),
        (50, ["--junit", "junit.xml"], 1),
        (50, ["--fail-under", "faithful=0.1", "--allow-bad", "49"], 1),
        (50, ["--fail-under", "faithful=0.1", "--allow-bad", "50"], 0),
        (0, ["--fail-under", "faithful=0.1"], 0),
        (50, ["--allow-bad", "5"], 1),
        (50, [], 0),
    ],
)
def test_unreadable_lines_fail_a_gate_unless_they_are_allowed(
    bad: int, arguments: list[str], code: int, capsys
) -> None:
    rows = (Path() / answers(Path())).read_text()
    Path("some.jsonl").write_text("\n".join([*MALFORMED[:bad], rows]))
    assert main(["evaluate", "some.jsonl", "--out", "out.jsonl", *arguments]) == code
    said = capsys.readouterr().err
    assert ("50 of 81 lines could not be read" in said) == (bad == 50)
    assert ("FAILED: 50" in said) == (code == 1)


@pytest.mark.parametrize("text", ["", "\n\n", "\n".join(MALFORMED)])
@pytest.mark.parametrize("arguments", [[], ["--allow-bad", "99"], ["--fail-under", "overlap.auroc=0"]])
def test_a_file_without_a_readable_line_always_fails(text: str, arguments: list[str], capsys) -> None:
    Path("none.jsonl").write_text(text)
    assert main(["evaluate", "none.jsonl", "--out", "out.jsonl", "--junit", "junit.xml", *arguments]) == 1
    assert ("the file has no lines" if not text.strip() else "FAILED: 50 of 50") in capsys.readouterr().err


def test_junit_says_what_was_wrong_with_the_first_lines() -> None:
    Path("some.jsonl").write_text("\n".join([*MALFORMED, '{"id": 1, "response": "Yes."}']))
    arguments = ["--junit", "junit.xml", "--fail-under", "faithful=0"]
    assert main(["evaluate", "some.jsonl", "--out", "out.jsonl", *arguments]) == 1
    case = Xml.parse("junit.xml").getroot().find("testcase[@classname='tidegauge.lines']")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert "line 1: " in failure.get("message", "")
    assert "line 2: Object missing required field" in failure.get("message", "")
    assert main(["evaluate", "some.jsonl", "--out", "out.jsonl", "--junit", "junit.xml", "--allow-bad", "50"]) == 0
    case = Xml.parse("junit.xml").getroot().find("testcase[@classname='tidegauge.lines']")
    assert case is not None
    assert case.find("failure") is None
