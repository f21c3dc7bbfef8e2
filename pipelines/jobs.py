"""The jobs: `run` looks once, or every so often, and works off what it finds in bounded portions."""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from evaluators.build import build_cascade, build_further
from pipelines import sampling
from tidegauge.config import Config, SourceSection
from tidegauge.domain import SECOND, Clock, Micros
from tidegauge.errors import UsageError
from tidegauge.service import artifacts, objectives
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

_WAIT_SECONDS = 0.5

_log = logging.getLogger("tidegauge")


class Progress(Protocol):
    def __call__(self, event: str, **facts: Any) -> None: ...


class Summary(msgspec.Struct, frozen=True):
    """What a run did."""

    ticks: int
    blocks_done: int
    status: dict[str, Any]


def to_stderr(event: str, **facts: Any) -> None:
    """Progress for people."""
    print(f"{event}: " + ", ".join(f"{k} {v}" for k, v in facts.items()), file=sys.stderr, flush=True)  # noqa: T201


def to_stderr_as_json(event: str, **facts: Any) -> None:
    """Progress for machines: one object a line."""
    print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)  # noqa: T201


def declare_objectives(store: Store, config: Config, now: Micros) -> list[str]:
    """Stores the objectives of every intent that has any; a line for each that changed."""
    with store.write() as tx:
        intents = objectives.known_intents(tx)
        wanted = [config.objective(intent) for intent in intents]
        wanted += [config.as_objective(slo) for slo in config.counted(intents)]
        return objectives.declare(tx, wanted, now)


def silent(event: str, **facts: Any) -> None:
    """No progress."""


def run(
    config: Config,
    store: Store,
    clock: Clock,
    *,
    final: bool = False,
    every: float | None = None,
    logs: Sequence[str] | None = None,
    progress: Progress = to_stderr,
) -> Summary:
    """Works off every block planned at its start, sweeps pending samples, decides and delivers.

    `logs` replaces the configured sources. With `every`, in seconds, it looks again until SIGTERM or SIGINT, which let
    the bundle in work finish. Several runs on one store share the work. Raises TidegaugeError.
    """
    sources = tuple(SourceSection(files=log) for log in logs) if logs else config.sources
    if not sources:
        raise UsageError("no sources: name them in tidegauge.yaml under `sources`, or give --log GLOB")
    job = _Job(config, store, clock, sources, final, progress)
    with job.at_work():
        ticks = job.look()
        while every is not None and not job.stopping.wait(job.until_next(every)):
            ticks += job.look()
    with store.read() as tx:
        state = status(tx, clock.now())
    return Summary(ticks=ticks, blocks_done=state["blocks"]["done"], status=state)


class _Job:
    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        sources: tuple[SourceSection, ...],
        final: bool,
        progress: Progress,
    ) -> None:
        with _quiet():
            from pipelines.transforms import Settings

        self.store = store
        self.clock = clock
        self.progress = progress
        self.stopping = threading.Event()
        migrate(store)
        cascade = build_cascade(config)
        everybody = (cascade, *build_further(config).values())
        artifacts.register(store, tuple(one for c in everybody for one in c.artifacts()), clock.now())
        given = os.environ.get("TIDEGAUGE_SAMPLING_KEY")
        key = sampling.prepare(store, clock, config.sampling.rate, given, _log.warning)
        for line in declare_objectives(store, config, clock.now()):
            progress("objective", changed=line)
        self.owner = Owner.this_process(clock.now())
        self.settings = Settings(config, sources, key, clock, final)
        if config.judge.base_url is None:
            progress("judge", state="not configured: heuristics alone decide")
        self._looked_at = time.monotonic()

    def until_next(self, every: float) -> float:
        """Seconds until the next look. A look that took longer than `every` is followed at once, by one."""
        return max(0.0, self._looked_at + every - time.monotonic())

    def look(self) -> int:
        """One look at the sources: ticks until what was planned at the first one is done or lost; their number."""
        self._looked_at = time.monotonic()
        sweep = f"{self.owner.name}:{self.clock.now()}:{time.monotonic_ns()}"
        planned_by: Micros = 0
        ticks, started, before = 0, time.monotonic(), self._records()
        while not self.stopping.is_set():
            done = self._tick(sweep, planned_by)
            ticks += 1
            planned_by = planned_by or self.clock.now()
            with self.store.read() as tx:
                left = ledger.count_open_blocks(tx, sweep, planned_by)
                unswept = ledger.count_unswept(tx, sweep, ledger.live_owners(tx, self.clock.now()))
            seconds = time.monotonic() - started
            records = self._records() - before
            self.progress("tick", number=ticks, records=records, a_second=round(records / seconds), blocks_left=left)
            if not left and not unswept:
                break
            if not done and left:
                self.stopping.wait(_WAIT_SECONDS)  # another process is at them, or has just died
        return ticks

    def _records(self) -> int:
        with self.store.read() as tx:
            return int(tx.value("records_done") or 0)

    def _tick(self, sweep: str, planned_by: Micros) -> bool:
        """Runs the pipeline over one tick; whether it got anything done."""
        import apache_beam as beam

        from pipelines.online import Online
        from pipelines.transforms import Tick

        before = self._records()
        tick = Tick(self.owner.name, sweep, planned_by)
        with beam.Pipeline(runner=in_process_runner(), options=_options()) as pipeline:
            _ = pipeline | "tick" >> beam.Create([tick]) | "online" >> Online(self.settings)
        return self._records() > before

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Beats while the job lives, turns signals into a stop after the bundle in work, and leaves in the end."""
        ended = threading.Event()
        self._beat()
        heart = threading.Thread(target=self._keep_beating, args=(ended,), daemon=True, name="heartbeat")
        heart.start()
        try:
            with _signals(self._stop):
                yield
        finally:
            ended.set()
            heart.join()
            with self.store.write() as tx:
                ledger.leave(tx, self.owner)

    def _stop(self) -> None:
        self.progress("stopping", after="the bundle in work")
        self.stopping.set()

    def _beat(self) -> None:
        with self.store.write() as tx:
            ledger.beat(tx, self.owner, self.clock.now())

    def _keep_beating(self, ended: threading.Event) -> None:
        while not ended.wait(ledger.HEARTBEAT / SECOND):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - a missed beat must not end the job; the next one may get through
                _log.warning("heartbeat: %s", error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam warns at import of cloud clients that nobody asked for."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def in_process_runner() -> Any:
    """Beam's own in-process runner, by name: the default one would try to download another first."""
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    return FnApiRunner()


def _options() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([])


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` on SIGTERM and SIGINT, where handlers can be set at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
