"""`tidegauge run --workers N`: several jobs on one store, watched over by a process that does no work itself.

They share the ledger as jobs that were started by hand do. What a worker that was killed had in hand the others take
over; what is left when all have ended is done by another one.
"""

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from pipelines import forking, jobs
from pipelines.jobs import Summary
from pipelines.sources.build import Sources
from pipelines.sources.source import Planning
from pipelines.start import Progress, chosen_sources, placed, prepare, signals, status_now, to_stderr
from tidegauge.config import Config, JobSection
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Clock
from tidegauge.errors import TidegaugeError
from tidegauge.storage.store import Store, retry_conflicts

_BLOCK_BYTES = 8 << 20
"""Blocks at most, so that each worker gets several even of a short log."""

_RESCUES = 3
"""How often work that killed workers left behind is done by another one; whatever kills that many will not stop."""


class _Order(msgspec.Struct, frozen=True):
    """What a worker is to do."""

    config: Config
    url: str
    clock: Any
    final: bool
    logs: tuple[str, ...] | None
    progress: Any
    share: int


class _Report(msgspec.Struct, frozen=True):
    """What became of it: ticks, or why it failed."""

    ticks: int
    code: int = 0
    error: str = ""


def run(
    config: Config,
    store: Store,
    clock: Clock,
    workers: int,
    *,
    final: bool = False,
    every: float | None = None,
    logs: Sequence[str] | None = None,
    progress: Progress = to_stderr,
) -> Summary:
    """`jobs.run` in `workers` processes; one summary of all. `clock` and `progress` must be picklable.

    SIGTERM and SIGINT let every worker finish its bundle. Raises TidegaugeError with the exit code of a worker that
    failed. A worker that was killed is no failure: its work is done by the others.
    """
    sources = chosen_sources(config, logs)
    prepare(config, store, clock, progress)
    config = msgspec.structs.replace(placed(config, store.url), job=_small_blocks(config))
    given = tuple(logs) if logs else None
    order = _Order(config, store.url, clock, final, given, progress, workers)
    crew = _Crew(order)
    with signals(crew.stop):
        ticks = 0
        while True:
            began = time.monotonic()
            _plan(order, sources, store, clock)
            ticks += crew.look(workers)
            if every is None or crew.stopping.wait(max(0.0, began + every - time.monotonic())):
                break
    state = status_now(store, clock)
    return Summary(ticks, state["blocks"]["done"], state, crew.stopping.is_set())


def _small_blocks(config: Config) -> JobSection:
    """Smaller blocks, and as many more of them in a tick."""
    job = config.job
    smaller = min(job.block_bytes, _BLOCK_BYTES)
    portion = job.portion_blocks * job.block_bytes // smaller
    return msgspec.structs.replace(job, block_bytes=smaller, portion_blocks=portion)


def _plan(order: _Order, sources: Sequence[SourceSection], store: Store, clock: Clock) -> None:
    """What there is to do is in the ledger before anybody begins, so that all begin with the same."""
    built = Sources(sources)
    try:
        retry_conflicts(built.plan, store, clock, Planning(order.config.job.block_bytes, order.final))
    finally:
        built.close()


class _Crew:
    """Workers of one look at a time."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._processes = forking.context()
        self._at_work: dict[BaseProcess, Connection] = {}
        self.stopping = threading.Event()

    def stop(self) -> None:
        self.stopping.set()
        for worker in list(self._at_work):
            if worker.is_alive():
                worker.terminate()

    def look(self, workers: int) -> int:
        """One look by so many workers, and by further ones as long as some were killed; the sum of their ticks."""
        ticks, killed = self._shift(range(1, workers + 1))
        rescues = 0
        while killed and not self.stopping.is_set():
            if rescues == _RESCUES:
                raise TidegaugeError(f"workers were killed again and again, the last one by signal {killed[-1]}")
            rescues += 1
            self._order.progress("killed", workers=len(killed), signal=killed[-1], left_to="another one")
            more, killed = self._shift(range(workers + rescues, workers + rescues + 1))
            ticks += more
        return ticks

    def _shift(self, numbers: Sequence[int]) -> tuple[int, list[int]]:
        """Starts workers and waits for all of them: their ticks, and the signals that killed some."""
        for number in numbers:
            self._start(number)
        if self.stopping.is_set():  # the signal may have come before some of them were there
            self.stop()
        reports, killed = [], []
        while self._at_work:
            wait([worker.sentinel for worker in self._at_work])
            for worker in [worker for worker in self._at_work if not worker.is_alive()]:
                report = _received(self._at_work.pop(worker))
                code = worker.exitcode or 0
                worker.close()
                if report is None and code < 0:
                    killed.append(-code)
                else:
                    reports.append(report or _Report(0, code or 1, f"a worker ended with code {code}"))
        self._raise_first(reports)
        return sum(report.ticks for report in reports), killed

    def _start(self, number: int) -> None:
        ours, theirs = self._processes.Pipe(duplex=False)
        worker = self._processes.Process(target=work, args=(self._order, number, theirs), name=f"worker {number}")
        worker.start()
        theirs.close()
        self._at_work[worker] = ours

    @staticmethod
    def _raise_first(reports: Sequence[_Report]) -> None:
        for report in reports:
            if report.code:
                error = TidegaugeError(report.error)
                error.exit_code = report.code
                raise error


def _received(connection: Connection) -> _Report | None:
    """What a worker that has ended said last, if anything."""
    try:
        found: _Report = connection.recv()
    except EOFError:
        return None
    finally:
        connection.close()
    return found


def work(order: _Order, number: int, answer: Connection) -> None:
    """One worker, from its start to its report."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store = Store(order.url, order.config.store, "run")
    try:
        summary = jobs.run(
            order.config,
            store,
            order.clock,
            final=order.final,
            logs=order.logs,
            progress=functools.partial(order.progress, worker=number),
            share=order.share,
        )
        report = _Report(summary.ticks)
    except TidegaugeError as error:
        report = _Report(0, error.exit_code, str(error))
    except Exception as error:  # noqa: BLE001 - the parent says it, whatever it was
        report = _Report(0, 1, f"a worker failed: {type(error).__name__}: {error}")
    finally:
        store.close()
    answer.send(report)
    answer.close()


def _end_with_parent() -> None:
    """A worker whose parent was killed finishes its bundle and ends; its work is in the ledger."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
