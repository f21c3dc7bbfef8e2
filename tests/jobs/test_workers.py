"""Several workers on one store: the tables of one, whoever of them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines import jobs, workers
from tests.support import replay
from tests.support.ingest import Now
from tests.support.replay import compose, config_of, conserved, dump_of, run_job
from tidegauge.errors import TidegaugeError, UsageError
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

BLOCK = 40_000


def expected(folder: Path, lines: list[bytes]) -> str:
    replay.whole(folder, lines)
    url = f"sqlite:///{folder}/one.db"
    run_job(url, f"{folder}/*.jsonl", BLOCK)
    return replay.digest(dump_of(url))


def test_workers_make_the_tables_of_one(store: Store, tmp_path: Path) -> None:
    lines = compose(1_000)
    wanted = expected(tmp_path, lines)
    logs = [f"{tmp_path}/*.jsonl"]
    summary = workers.run(config_of(store.url, BLOCK), store, Now(), 2, logs=logs, progress=jobs.silent)
    assert summary.status["pending"] == 0
    assert summary.blocks_done == summary.status["blocks"]["done"] > 10
    assert replay.digest(dump_of(store.url)) == wanted
    conserved(store.url, lines)


class Stopped(Now):
    """A clock that only goes in the process that made it."""

    def __init__(self) -> None:
        super().__init__()
        self.home = os.getpid()

    def now(self) -> int:
        if os.getpid() != self.home:
            raise UsageError("the clock stands still")
        return super().now()


def test_a_worker_that_fails_gives_its_reason_and_code(tmp_path: Path) -> None:
    replay.whole(tmp_path, compose(10))
    opened = Store(f"sqlite:///{tmp_path}/store.db")
    config = config_of(opened.url, BLOCK)
    with pytest.raises(TidegaugeError, match="the clock stands still") as caught:
        workers.run(config, opened, Stopped(), 2, logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    assert caught.value.exit_code == UsageError.exit_code
    opened.close()


def start(folder: Path, url: str, count: int) -> "subprocess.Popen[bytes]":
    config = folder / "tidegauge.yaml"
    config.write_text(
        f'store: {{url: "{url}"}}\nsources: [{{files: "*.jsonl"}}]\nsampling: {{rate: 0.2}}\n'
        f"job: {{block_bytes: {BLOCK}}}\n"
    )
    command = [sys.executable, "-m", "tidegauge.cli", "run", "--config", str(config), "--workers", str(count)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def at_work(store: Store, job: "subprocess.Popen[bytes]", deadline: float) -> list[int]:
    """Pids of the workers once each holds blocks or has done some."""
    while time.monotonic() < deadline and job.poll() is None:
        with store.read() as tx:
            pids = [row["pid"] for row in tx.rows("owners")]
            if len(pids) >= 2 and int(tx.value("records_done") or 0):
                return pids
    return []


@pytest.mark.parametrize("victims", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_killed_workers_lose_nothing(store: Store, tmp_path: Path, victims: int) -> None:
    lines = compose(2_400)
    wanted = expected(tmp_path, lines)
    job = start(tmp_path, store.url, 2)
    try:
        pids = at_work(store, job, time.monotonic() + 60)
        for pid in pids[:victims]:
            os.kill(pid, signal.SIGKILL)
        said = job.communicate(timeout=120)[1].decode()
    finally:
        job.kill()
    assert len(pids) == 2, said
    assert job.returncode == 0, said
    assert "killed: workers" in said
    assert replay.digest(dump_of(store.url)) == wanted
    assert conserved(store.url, lines)["pending"] == 0


def test_sigterm_reaches_every_worker(tmp_path: Path) -> None:
    replay.whole(tmp_path, compose(2_400))
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store)
    job = start(tmp_path, store.url, 2)
    try:
        pids = at_work(store, job, time.monotonic() + 60)
        job.terminate()
        said = job.communicate(timeout=60)[1].decode()
    finally:
        job.kill()
    assert job.returncode == 0, said
    assert said.count("stopping: ") >= 1
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    store.close()
