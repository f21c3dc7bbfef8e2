"""A judge that fails in every way at once: no sample is lost, and it takes little longer."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from pipelines import jobs
from tests.support.logs import line
from tidegauge.commands.context import SystemClock
from tidegauge.config import Config, JudgeSection, SamplingSection, StoreSection
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import Fault, JudgeServer, random_faults

SHARES = {
    Fault("status", 429, retry_after="1"): 0.025,
    Fault("status", 429): 0.025,
    Fault("malformed"): 0.02,
    Fault("hang"): 0.02,
    Fault("reset"): 0.01,
    Fault("status", 500): 0.01,
}


def faults(begin: float, end: float) -> Iterator[Fault | None]:
    """The shares of faults, and nothing but broken connections between two times."""
    for fault in random_faults(1, SHARES):
        yield Fault("reset") if begin <= time.monotonic() < end else fault


def serve(latency: float, pipe: Connection) -> None:
    """The judge says where it is, fails from when to when it is told so, and ends when it is told so."""
    with JudgeServer(latency=latency) as server:
        pipe.send(server.base_url)
        while (outage := pipe.recv()) is not None:
            server.fail(faults(*outage))


@contextmanager
def elsewhere(latency: float) -> Iterator[tuple[str, Connection]]:
    """A judge in a process of its own, as real ones are: its base_url, and how to tell it an outage."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(latency, there))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send(None)
        process.join()


def judge_all(folder: Path, samples: int, base_url: str, deadline: float) -> tuple[dict[str, Any], int]:
    """Runs the job until no sample is pending; the last status, and how many runs it took."""
    folder.mkdir()
    rows = [line(request_id=f"r-{n}", response=f"Within {n} days.") for n in range(samples)]
    (folder / "log.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    config = Config(
        store=StoreSection(url=f"sqlite:///{folder}/store.db"),
        sampling=SamplingSection(rate=1.0),
        judge=JudgeSection(base_url=base_url, model="m", concurrency=64, timeout_seconds=1.0),
    )
    store = Store(config.store.url)
    runs = 0
    while True:
        runs += 1
        jobs.run(config, store, SystemClock(), logs=[f"{folder}/log.jsonl"], progress=jobs.silent)
        with store.read() as tx:
            found = status(tx, 0)
        assert found["seen"] == samples == found["sampled"]
        assert found["sampled"] == found["judged"] + found["unscored"] + found["pending"]
        if not found["pending"] or time.monotonic() > deadline:
            break
    store.close()
    return found, runs


def check(folder: Path, samples: int, outage: float, latency: float) -> tuple[float, float]:
    """Seconds of a clean run and of one with faults."""
    with elsewhere(latency) as (base_url, _):
        start = time.monotonic()
        clean, _ = judge_all(folder / "clean", samples, base_url, start + 600)
        undisturbed = time.monotonic() - start
    assert clean["judged"] == samples
    with elsewhere(latency) as (base_url, pipe):
        start = time.monotonic()
        pipe.send((start + undisturbed / 2, start + undisturbed / 2 + outage))
        found, runs = judge_all(folder / "faults", samples, base_url, start + 600)
        disturbed = time.monotonic() - start
    assert found["pending"] == 0
    assert found["judged"] + found["unscored"] == samples
    assert found["unscored"] <= 0.01 * samples
    assert runs > 1
    return undisturbed, disturbed


def test_nothing_is_lost(tmp_path: Path) -> None:
    check(tmp_path, 300, outage=6.0, latency=0.05)


@pytest.mark.faults
def test_nothing_is_lost_and_it_takes_little_longer(tmp_path: Path) -> None:
    clean, disturbed = check(tmp_path, 5_000, outage=30.0, latency=0.2)
    print(f"clean {clean:.1f} s, with faults and an outage of 30 s {disturbed:.1f} s")
    assert disturbed <= 1.3 * clean + 30.0
