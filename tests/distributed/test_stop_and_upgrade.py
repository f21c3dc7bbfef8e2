"""Streams on Prism: stopped in order, cancelled, beside each other, and on the store of an earlier version."""

import gzip
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.distributed.streaming import Stream, compose, counts, digest, run_once, wait_for
from tests.storage.test_fixture import FIXTURE, REQUESTS
from tests.support import replay
from tests.support.replay import conserved, dump_of

SECONDS = 300

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return compose(tmp_path_factory.mktemp("log"), 3000)


@pytest.fixture(scope="module")
def wanted(log: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "log.jsonl").write_bytes(b"".join(log))
    run_once(f"sqlite:///{folder}/store.db", folder / "log.jsonl")
    return digest(f"sqlite:///{folder}/store.db")


def on_prism(folder: Path, url: str, log: Path, prism: dict[str, str], **stream: object) -> Stream:
    section = {"tick_seconds": 0.5, "prism": prism, **stream}
    return Stream(
        folder, "prism", url, {"sources": [{"files": str(log)}], "stream": section, "job": {"block_bytes": 50_000}}
    )


def test_a_stream_goes_on_where_an_earlier_version_stopped(prism: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(gzip.decompress(FIXTURE.read_bytes()).decode())
    connection.close()
    url = f"sqlite:///{path}"
    lines, more = replay.compose(REQUESTS), replay.compose(REQUESTS, seed=2)
    (tmp_path / "more.jsonl").write_bytes(b"\n".join(more) + b"\n")
    with on_prism(tmp_path / "stream", url, tmp_path / "more.jsonl", prism) as stream:
        wait_for(lambda: "running: " in stream.log.read_text() or not stream.alive(), SECONDS, "submission")
        before = {line for line in dump_of(url).splitlines() if b'"table":"samples"' in line}
        stream.wait_until_done(len(lines) + len(more), SECONDS)
        stream.stop()
    conserved(url, lines + more)
    assert before
    assert before <= set(dump_of(url).splitlines())


def test_a_cancelled_stream_loses_nothing(
    log: list[bytes], wanted: tuple[int, str], prism: dict[str, str], tmp_path: Path
) -> None:
    """A second signal does not wait for the work in hand; another stream does it."""
    (tmp_path / "log.jsonl").write_bytes(b"".join(log))
    url = f"sqlite:///{tmp_path}/store.db"
    with on_prism(tmp_path / "one", url, tmp_path / "log.jsonl", prism, in_flight_blocks=1) as stream:
        wait_for(lambda: "running: " in stream.log.read_text() and counts(url)["seen"] > 0, SECONDS, "the first block")
        stream.signal(signal.SIGTERM)
        wait_for(lambda: "stopping: " in stream.log.read_text(), SECONDS, "the first signal")
        stream.signal(signal.SIGTERM)
        stream.wait()
    with on_prism(tmp_path / "two", url, tmp_path / "log.jsonl", prism) as stream:
        stream.wait_until_done(len(log), SECONDS)
        stream.stop()
    assert digest(url) == wanted


def test_two_streams_on_one_store_share_the_work(
    log: list[bytes], wanted: tuple[int, str], prism: dict[str, str], postgresql: str, tmp_path: Path
) -> None:
    place = tmp_path / "log.jsonl"
    place.write_bytes(b"".join(log[:100]))
    with on_prism(tmp_path / "one", postgresql, place, prism, in_flight_blocks=2) as one:
        one.wait_until_done(100, SECONDS)
        with on_prism(tmp_path / "two", postgresql, place, prism, in_flight_blocks=2) as two:
            two.wait_until_done(100, SECONDS)
            with place.open("ab") as file:
                file.write(b"".join(log[100:]))
            two.wait_until_done(len(log), SECONDS)
            assert "beside: streams 1" in two.log.read_text()
            one.stop()
            two.stop()
    assert digest(postgresql) == wanted
