"""An engine that dies under a stream: the probe is red while nothing runs, and green once it was submitted again."""

import contextlib
import json
from pathlib import Path

import psutil
import pytest

from tests.distributed.streaming import Stream, counts, wait_for
from tests.support.logs import line
from tidegauge.cli import main


def health(store_url: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["health", "--json", "--store", store_url])
    return code, json.loads(capsys.readouterr().out).get("reasons", [])


def test_a_killed_engine_turns_the_probe_red_until_the_next_submission(
    prism: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, url = tmp_path / "log.jsonl", f"sqlite:///{tmp_path}/store.db"
    log.write_bytes(b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(50)))
    config = {"sources": [{"files": str(log)}], "stream": {"prism": prism, "tick_seconds": 0.2}}
    seen: list[tuple[int, list[str]]] = []

    def is_red() -> bool:
        seen.append(health(url, capsys))
        return seen[-1][0] == 1

    with Stream(tmp_path / "stream", "prism", url, config) as stream:
        stream.wait_until_done(50, 300)
        assert health(url, capsys) == (0, [])
        for child in psutil.Process(stream.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "prism" in child.name():
                    child.kill()
        wait_for(is_red, 300, "a red probe")
        assert "failed and is not running" in seen[-1][1][0]
        with log.open("ab") as more:
            more.write(line(request_id="later") + b"\n")
        wait_for(lambda: counts(url)["seen"] == 51, 300, "the line written meanwhile")
        assert health(url, capsys) == (0, [])
        stream.stop()
    assert health(url, capsys) == (0, [])
