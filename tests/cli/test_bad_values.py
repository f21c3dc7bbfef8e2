"""Values that cannot be are bad usage: exit code 2, one line, and nothing is made."""

import json
from pathlib import Path

import pytest

from tests.support.logs import line
from tidegauge.cli import main

LOAD = ["--requests-per-day", "1e6"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(line(request_id=f"r-{n}") for n in range(20)) + b"\n")
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: a.jsonl}]\nsampling: {rate: 0.5}\n")
    assert main(["run"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["store", "prune", "--older-than", "99999999999d"], "longer than a hundred years"),
        (["stops", "set", "*", "--why", "x", "--for", "99999999999d"], "longer than a hundred years"),
        (["sampling", "set", "0.1", "--from", "2026-11-01"], "write 2026-11-01T00:00:00Z for UTC"),
        (["power", "--requests-per-day", "inf"], "--requests-per-day inf: must be above 0 and at most"),
        (["power", "--requests-per-day", "1e308"], "must be above 0 and at most"),
        (["power", *LOAD, "--within", "inf"], "--within inf: must be above 0 and at most"),
        (["power", *LOAD, "--labels-per-day", "1e308"], "must be above 0 and at most"),
        (["capacity", *LOAD, "--tokens-in", "nan"], "--tokens-in nan: 0 or more is needed"),
        (["capacity", *LOAD, "--tokens-out", "-5"], "--tokens-out -5.0: 0 or more is needed"),
        (["attribute", "--intent", "refunds.policy", "--deployment", "nope"], "--deployment nope: no request of"),
        (["--store", "tg.db", "status"], "--store: a store is sqlite:///FILE or"),
        (["--store", "sqlite+pysqlite:///tg.db", "status"], "--store: a store is sqlite:///FILE or"),
        (["rubric", "new", "../outside"], "a name is lower-case letters"),
        (["rubric", "new", "hallucination@1.2.0"], "a name is lower-case letters"),
        (["rubric", "new", ""], "a name is lower-case letters"),
        (["rubric", "new", "x" * 300], "a name is lower-case letters"),
        (["evaluator", "new", "class"], "no word of Python's"),
    ],
)
def test_it_is_said_on_one_line(command: list[str], error: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.rglob("*"))
    capfd.readouterr()
    assert main(command) == 2
    said = capfd.readouterr()
    assert error in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out
    assert sorted(place.rglob("*")) == before


def test_a_store_that_is_named_for_capacity_must_be_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", *LOAD]) == 0
    capsys.readouterr()
    assert main(["--store", "sqlite:///typo.db", "capacity", *LOAD]) == 1
    assert capsys.readouterr().err == f"tidegauge: no such store: {place / 'typo.db'}; `tidegauge run` makes it\n"


def test_gold_labels_of_which_none_could_be_taken_are_a_failure(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "labels.jsonl").write_text('{"request_id": "nope", "hallucinated": true, "reviewer": "ann"}\n[]\n')
    capsys.readouterr()
    assert main(["gold", "add", "labels.jsonl"]) == 1
    said = capsys.readouterr()
    assert said.err == "tidegauge: labels.jsonl: no label was taken: 1 bad and 1 unknown lines\n"
    assert json.loads(said.out)["unknown"] == 1
    (place / "labels.jsonl").write_text("")
    assert main(["gold", "add", "labels.jsonl"]) == 0
