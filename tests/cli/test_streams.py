"""Whatever stdout and stderr are, and whatever bytes a name has: one line at most, and the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.logs import line
from tidegauge.cli import main

ENDING = f"exec {sys.executable} -m tidegauge.cli"
NO_UTF8 = b"caf\xe9"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(line(request_id=f"r-{n}", intent="Größe") for n in range(40)) + b"\n")
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'a.jsonl'}]\nsampling: {rate: 0.5}\n")
    return tmp_path


def shell(script: str | bytes, place: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=place, env={**os.environ, **environ}, capture_output=True, check=False
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_job_that_is_started_without_streams_does_its_work(closed: str, place: Path) -> None:
    done = shell(f"{ENDING} run {closed}", place)
    assert done.returncode == 0, done.stderr
    assert b'"seen": 40' in shell(f"{ENDING} status --json", place).stdout


def test_a_job_goes_on_when_nobody_listens_to_it(place: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    job = [sys.executable, "-m", "tidegauge.cli", "run"]
    done = subprocess.run(job, cwd=place, stderr=write, check=False)
    os.close(write)
    assert done.returncode == 0
    assert b'"seen": 40' in shell(f"{ENDING} status --json", place).stdout


def test_a_reader_that_leaves_is_no_failure_and_another_broken_pipe_is(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run"]) == 0
    read, write = os.pipe()
    os.close(read)
    dump = [sys.executable, "-m", "tidegauge.cli", "dump", "--canonical"]
    done = subprocess.run(dump, cwd=place, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")

    def broken(*_: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("tidegauge.commands.status.run", broken)
    capfd.readouterr()
    assert main(["status"]) == 1
    assert capfd.readouterr().err == "tidegauge: Broken pipe; --debug shows where\n"


def test_data_is_utf_8_in_every_locale(place: Path) -> None:
    assert main(["run"]) == 0
    for command in ("slo", "dump --canonical", "review export"):
        done = shell(f"{ENDING} {command}", place, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert "Größe".encode() in done.stdout


def test_a_disk_without_room_is_said_on_one_line(place: Path) -> None:
    done = shell(f"{ENDING} slo export >/dev/full", place)
    assert (done.returncode, done.stderr) == (1, b"tidegauge: No space left on device; --debug shows where\n")


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--log", os.fsdecode(NO_UTF8)],
        ["stops", "set", os.fsdecode(NO_UTF8), "--why", "x", "--unseen"],
        ["sampling", "set", "0.1", "--intent", os.fsdecode(NO_UTF8), "--unseen"],
        ["attribute", "--intent", os.fsdecode(NO_UTF8)],
        ["incidents", "approve", os.fsdecode(NO_UTF8)],
    ],
    ids=lambda command: command[0],
)
def test_a_name_that_is_not_utf_8_is_bad_usage(
    command: list[str], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run"]) == 0
    (place / os.fsdecode(NO_UTF8)).write_bytes(line() + b"\n")
    capfd.readouterr()
    assert main(command) == 2
    (said,) = capfd.readouterr().err.splitlines()[-1:]
    assert "caf" in said
    assert "not UTF-8" in said


def test_a_store_and_files_may_have_any_name(place: Path) -> None:
    name = os.fsdecode(NO_UTF8)
    assert main(["--store", f"sqlite:///{name}.db", "run"]) == 0
    assert main(["--store", f"sqlite:///{name}.db", "review", "export", name]) == 0
    assert (place / name).exists()


def test_somebody_may_have_any_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["run"]) == 0
    monkeypatch.setenv("TIDEGAUGE_WHO", os.fsdecode(NO_UTF8))
    assert main(["stops", "set", "*", "--why", "x"]) == 0


@pytest.mark.parametrize("name", ["what?now", "100%20", "[x]#", "it's ü"])
def test_a_project_may_lie_in_a_folder_of_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "a.jsonl").write_bytes(line() + b"\n")
    (folder / "tidegauge.yaml").write_text("sources: [{files: '*.jsonl'}]\n")
    assert main(["run"]) == 0
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    assert '"seen": 1,' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "tidegauge.db").exists()


def test_a_store_s_url_may_be_escaped(place: Path) -> None:
    assert main(["--store", "sqlite:///a%20b%3F.db", "run"]) == 0
    assert (place / "a b?.db").exists()
    assert main(["--store", "sqlite:///a%20b%3F.db", "status"]) == 0
