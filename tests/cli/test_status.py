"""`tidegauge status`: what waits, once and watched."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.service.world import judge, request
from tests.support.logs import line
from tidegauge.cli import main
from tidegauge.commands.flow_text import age
from tidegauge.storage.store import Store

DEADLINE = 30.0


def watch(store: Store, *flags: str) -> list[str]:
    return [sys.executable, "-m", "tidegauge.cli", "status", "--watch", "0.2s", "--store", store.url, *flags]


def test_watched_without_a_terminal_it_is_a_line_of_json_each_time(store: Store) -> None:
    judge(store, [request(1)])
    with subprocess.Popen(watch(store, "--json"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    assert first["at"] < second["at"]
    assert first["stages"]["decide"]["waiting"] == 1


def test_on_a_terminal_it_redraws_until_ctrl_c(store: Store) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(watch(store), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said, end = b"", time.monotonic() + DEADLINE
        while said.count(b"\x1b[H") < 2 and time.monotonic() < end:
            said += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    os.close(ours)
    assert said.count(b"\x1b[H\x1b[J") >= 2
    assert b"samples to judge" in said
    assert b"Nobody is at work. Next: tidegauge run" in said


def test_status_says_what_waits_and_which_bytes_are_not_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(line() + b'\n{"half')
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: a.jsonl}]\n")
    assert main(["run"]) == 0
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "waiting: nothing" in said
    assert "a.jsonl: 6 bytes not planned" in said
    assert main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["flow"]
    assert found["timings"]["commit"]["units"] == 1
    assert found["run"]["ticks"] >= 1


def test_a_bad_interval_is_a_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--watch", "often", "--store", f"sqlite:///{tmp_path}/s.db"]) == 2


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119.0, "119 s"), (210, "3.5 min"), (7_560, "2.1 h"), (345_600, "4.0 d")]
)
def test_ages_are_in_the_unit_that_they_are_read_in(seconds: float, said: str) -> None:
    assert age(seconds) == said


READING = [
    *(["status"], ["status", "--json"], ["status", "--watch"], ["health"], ["slo"], ["incidents"], ["tickets"]),
    *(["verdict", "--intent", "refunds", "--unseen"], ["dump", "--canonical"], ["sampling", "show"]),
    *(["review", "export"], ["judge", "health"], ["explain", "r-1"], ["incidents", "approve", "i-1"]),
    *(["power"], ["sampling", "set", "0.1"], ["stops", "lift", "refunds"]),
    *(["metrics"], ["judge", "trust", "judge", "--why", "seen"], ["store", "prune", "--older-than", "90d"]),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_wants_a_store_that_is_there_makes_none(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "typo.db"
    assert main(["--store", f"sqlite:///{file}", *command]) == 1
    said = capsys.readouterr()
    assert f"no such store: {file}; `tidegauge run` makes it\n" in said.out + said.err
    assert len((said.out + said.err).splitlines()) == 1
    assert not file.exists()
