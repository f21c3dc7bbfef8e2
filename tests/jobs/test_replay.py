"""Replay: the canonical dump is a function of log, plan and code, however the log is cut and the job interrupted."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support import replay
from tests.support.kill import die_at
from tests.support.replay import compose, conserved, digest, dump_of, run_job

SMALL, LARGE = 3_000, 60_000
SHAPES: dict[str, tuple[Callable[[Path, list[bytes]], None], int]] = {
    "one file": (replay.whole, 1 << 20),
    "500 files": (replay.split(500, shuffled=False), 1 << 20),
    "shuffled files": (replay.split(40, shuffled=True), 1 << 20),
    "gzipped": (replay.zipped, 1 << 20),
    "blocks of 64 KB": (replay.whole, 64 << 10),
    "blocks of 64 MB": (replay.whole, 64 << 20),
}


def reference(tmp_path: Path, lines: list[bytes]) -> str:
    folder = tmp_path / "reference"
    folder.mkdir()
    replay.whole(folder, lines)
    url = f"sqlite:///{folder}/store.db"
    run_job(url, f"{folder}/*.jsonl")
    conserved(url, lines)
    return digest(dump_of(url))


def check_shapes(store_url: str, tmp_path: Path, requests: int, shape: str) -> None:
    lines = compose(requests)
    write, block_bytes = SHAPES[shape]
    folder = tmp_path / "shape"
    folder.mkdir()
    write(folder, lines)
    for _ in range(2):
        run_job(store_url, f"{folder}/*.jsonl*", block_bytes)
    conserved(store_url, lines)
    assert digest(dump_of(store_url)) == reference(tmp_path, lines)


@pytest.mark.parametrize("shape", ["500 files", "gzipped", "blocks of 64 KB"])
def test_the_shape_of_the_log_does_not_matter(store_url: str, tmp_path: Path, shape: str) -> None:
    check_shapes(store_url, tmp_path, SMALL, shape)


@pytest.mark.faults
@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_of_a_larger_log_does_not_matter(store_url: str, tmp_path: Path, shape: str) -> None:
    check_shapes(store_url, tmp_path, LARGE, shape)


def test_growing_by_odd_byte_counts_between_runs(store_url: str, tmp_path: Path) -> None:
    lines = compose(SMALL)
    data = b"\n".join(lines) + b"\n"
    folder = tmp_path / "grows"
    folder.mkdir()
    rng, end = random.Random(3), 0
    while end < len(data):
        end = min(len(data), end + rng.randrange(1, len(data) // 4))
        (folder / "a.jsonl").write_bytes(data[:end])
        run_job(store_url, f"{folder}/*.jsonl", 64 << 10)
    conserved(store_url, lines)
    assert digest(dump_of(store_url)) == reference(tmp_path, lines)


def in_child(action: Callable[[], None]) -> int:
    """Runs an action in a forked process, with Beam imported already; its exit code, negative for a signal."""
    child = os.fork()
    if not child:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_processes_at_once(store_url: str, tmp_path: Path) -> None:
    lines = compose(SMALL)
    folder = tmp_path / "shared"
    folder.mkdir()
    replay.whole(folder, lines)
    spawn = multiprocessing.get_context("spawn")
    jobs = [spawn.Process(target=run_with_real_clock, args=(store_url, f"{folder}/*.jsonl")) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [job.exitcode for job in jobs] == [0, 0]
    conserved(store_url, lines)
    assert digest(dump_of(store_url)) == reference(tmp_path, lines)


class RealClock:
    def now(self) -> int:
        import time

        return time.time_ns() // 1_000


def run_with_real_clock(url: str, source: str) -> None:
    run_job(url, source, 64 << 10, RealClock())


def run_and_die(url: str, source: str, statement: int) -> None:
    """The job, killed with SIGKILL when it is about to send its n-th statement."""
    die_at(statement, commits=False)
    run_with_real_clock(url, source)


def check_kills(store_url: str, tmp_path: Path, kills: int, requests: int) -> None:
    lines = compose(requests)
    folder = tmp_path / "killed"
    folder.mkdir()
    replay.whole(folder, lines)
    rng = random.Random(4)
    statements = [rng.randrange(1, 260) for _ in range(kills)]
    codes = [in_child(partial(run_and_die, store_url, f"{folder}/*.jsonl", at)) for at in statements]
    assert -signal.SIGKILL in codes
    assert set(codes) <= {0, -signal.SIGKILL}
    run_with_real_clock(store_url, f"{folder}/*.jsonl")
    found = conserved(store_url, lines)
    assert found["pending"] == 0
    assert digest(dump_of(store_url)) == reference(tmp_path, lines)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kill_at_random_statements(store_url: str, tmp_path: Path) -> None:
    check_kills(store_url, tmp_path, 6, SMALL)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kill_at_sixty_random_statements(store_url: str, tmp_path: Path) -> None:
    check_kills(store_url, tmp_path, 60, 20_000)
