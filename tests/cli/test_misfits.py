"""A log that does not fit says so before the job, at its end and in the status."""

import gzip
import json
from pathlib import Path

import pytest

from tests.support.logs import line
from tests.support.unreadable import unreadable
from tidegauge.cli import main

OTHER_NAMES = b"".join(json.dumps({"id": n, "prompt": "Q", "completion": "A"}).encode() + b"\n" for n in range(150))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'logs/*'}]\nsampling: {rate: 1}\n")
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_other_field_names_are_told_by_every_command(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "logs" / "a.jsonl").write_bytes(OTHER_NAMES)
    assert main(["check"]) == 1
    said = capsys.readouterr()
    assert "a.jsonl: 0 of the first 100 fit" in said.out
    assert "tidegauge: " in said.err
    assert "missing_field: " in said.err
    assert "`request_id`" in said.err
    assert main(["run"]) == 0
    assert "150 of 150 lines do not fit the request log: missing_field 150" in capsys.readouterr().err
    assert main(["status"]) == 0
    assert "missing_field 150, for example Object missing required field `request_id` (" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    [reasons] = json.loads(capsys.readouterr().out)["quarantine_examples"].values()
    assert reasons["missing_field"]["start"] in range(len(OTHER_NAMES))


def test_what_is_wrong_inside_of_chosen_requests_alone_is_told_too(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tidegauge.yaml").write_text("sources: [{files: 'logs/*'}]\nsampling: {rate: 0.1}\n")
    rows = [line(request_id=f"r-{n}", contexts=[{"passage": "other name"}]) for n in range(200)]
    (project / "logs" / "a.jsonl.gz").write_bytes(gzip.compress(b"\n".join(rows) + b"\n"))
    assert main(["check"]) == 1
    assert "missing required field `text`" in capsys.readouterr().err
    assert main(["run"]) == 0
    assert "no request was sampled, and " in capsys.readouterr().err


def test_some_bad_lines_are_no_failure(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line(request_id=f"r-{n}") for n in range(9)]
    (project / "logs" / "a.jsonl").write_bytes(b"\n".join([b"{", *rows, b"unfinished"]))
    assert main(["check"]) == 0
    said = capsys.readouterr()
    assert "a.jsonl: 9 of the first 10 fit" in said.out
    assert "warning: " in said.err
    assert "1 of 10 lines: malformed_json" in said.err
    assert main(["run"]) == 0
    assert "do not fit" not in capsys.readouterr().err


def test_a_later_run_speaks_of_its_own_lines(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "logs" / "a.jsonl").write_bytes(b"\n".join(line(request_id=f"r-{n}") for n in range(400)) + b"\n")
    assert main(["run"]) == 0
    (project / "logs" / "b.jsonl").write_bytes(OTHER_NAMES)
    assert main(["run"]) == 0
    assert "150 of 150 lines do not fit" in capsys.readouterr().err
    assert main(["run"]) == 0
    assert "do not fit" not in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_tried(
    project: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    paths = [project / "logs" / f"{n}.jsonl" for n in range(6)]
    for n, path in enumerate(paths):
        path.write_bytes(b"".join(line(request_id=f"r-{n}-{m}") + b"\n" for m in range(10)))
    with unreadable(paths[5]):
        assert main(["check"]) == 1
        said = capsys.readouterr()
        assert "tidegauge: logs/5.jsonl: cannot be read: Permission denied" in said.err.replace(f"{project}/", "")
        assert "10 of the first 10 fit" in said.out
        assert main(["run"]) == 0
        assert "5.jsonl: Permission denied" in caplog.text
        capsys.readouterr()
        assert main(["status", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["seen"] == 50
        assert main(["status"]) == 0
        assert "5.jsonl: Permission denied" in capsys.readouterr().out
    with unreadable(*paths):
        assert main(["check"]) == 1
        assert "3 more files cannot be read" in capsys.readouterr().err
    assert main(["check"]) == 0


def test_a_run_that_finds_no_file_says_so_on_a_store_that_holds_something(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "logs" / "a.jsonl").write_bytes(line(request_id="r-1") + b"\n")
    assert main(["run"]) == 0
    assert "matches no file" not in capsys.readouterr().err
    assert main(["run"]) == 0  # nothing new is nothing wrong
    assert "matches no file" not in capsys.readouterr().err
    assert main(["run", "--log", "logs/*.x", "--log", "logs/*.jsonl", "--log", "none/*"]) == 0
    said = capsys.readouterr().err
    assert "warning: logs/*.x matches no file yet\n" in said
    assert "warning: none/* matches no file yet\n" in said
    assert said.count("matches no file") == 2
    (project / "tidegauge.yaml").write_text("sources: [{files: 'others/*'}]\n")
    for command in (["run"], ["check"]):
        assert main(command) == 0
        assert "others/* matches no file yet\n" in capsys.readouterr().err


@pytest.mark.parametrize("written", ["logs", "logs/"])
def test_a_folder_is_no_log(written: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "logs" / "a.jsonl").write_bytes(line(request_id="r-1") + b"\n")
    for command in (["run"], ["stream", "--runner", "prism"]):
        assert main([*command, "--log", written]) == 2
        assert f"--log: {written} is a folder; write 'logs/*.jsonl'\n" in capsys.readouterr().err
    (project / "tidegauge.yaml").write_text(f"sources: [{{files: '{written}'}}]\n")
    assert main(["check"]) == 1
    said = capsys.readouterr()
    assert "is a folder; write '" in said.err
    assert "logs/*.jsonl'\n" in said.err
    assert "0 files" in said.out
    assert "no file" not in said.err
