"""The jobs: `run` looks once, or every so often, and works off what it finds in bounded portions."""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evaluators import limits
from evaluators.endpoint import all_endpoints
from pipelines.start import (
    Progress,
    chosen_sources,
    placed,
    prepare,
    quiet,
    signals,
    silent,
    status_now,
    to_stderr,
    to_stderr_as_json,
)
from tidegauge.config import Config
from tidegauge.config_sources import SourceSection
from tidegauge.domain import SECOND, Clock, Micros
from tidegauge.errors import StoreError, StoreUnavailable
from tidegauge.service import retention
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Store, retry_conflicts

if TYPE_CHECKING:
    from pipelines.measures import Measures

__all__ = ["Progress", "Summary", "run", "silent", "to_stderr", "to_stderr_as_json"]

_WAIT_SECONDS = 0.5

_STORE_ERROR = re.compile(r"tidegauge\.errors\.Store\w+: (.*)")

_log = logging.getLogger("tidegauge")


class Summary(msgspec.Struct, frozen=True):
    """What a run did."""

    ticks: int
    blocks_done: int
    status: dict[str, Any]
    stopped: bool
    """By a signal, so that there may be more to do."""


def run(
    config: Config,
    store: Store,
    clock: Clock,
    *,
    final: bool = False,
    every: float | None = None,
    logs: Sequence[str] | None = None,
    progress: Progress = to_stderr,
    share: int = 1,
) -> Summary:
    """Works off every block planned at its start, sweeps pending samples, decides and delivers.

    `logs` replaces the configured sources. With `every`, in seconds, it looks again until SIGTERM or SIGINT, which let
    the bundle in work finish. Several runs on one store share the work; of `share` that were started together none
    takes more than its part at once. Raises TidegaugeError.
    """
    sources = chosen_sources(config, logs)
    job = _Job(config, store, clock, sources, final, progress, share)
    with job.at_work():
        ticks = job.look()
        while True:
            retention.daily(store, config, clock, job.stopping.is_set)
            if every is None or job.stopping.wait(job.until_next(every)):
                break
            ticks += job.look()
    state = status_now(store, clock)
    return Summary(ticks, state["blocks"]["done"], state, job.stopping.is_set())


def run_silently(config: Config, store: Store, clock: Clock, log: str) -> None:
    """`run` as a step of something longer, all of which a signal ends. Raises KeyboardInterrupt, TidegaugeError."""
    if run(config, store, clock, logs=[log], progress=silent).stopped:
        raise KeyboardInterrupt


class _Job:
    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        sources: tuple[SourceSection, ...],
        final: bool,
        progress: Progress,
        share: int = 1,
    ) -> None:
        self.store = store
        self.clock = clock
        self.progress = progress
        self.stopping = threading.Event()
        prepare(config, store, clock, progress)
        self.owner = Owner.this_process(clock.now())
        with quiet():
            from pipelines.sources.build import check_sources
            from pipelines.work import Settings

            check_sources(sources, os.environ)
            self.settings = Settings(placed(config, store.url), sources, clock, final, share=share)
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
        endpoints = all_endpoints(self.settings.config)
        while not self.stopping.is_set():
            done = self._tick(sweep, planned_by)
            ticks += 1
            planned_by = planned_by or retry_conflicts(self._planned_until)
            left, unswept = retry_conflicts(self._left, sweep, planned_by)
            seconds = time.monotonic() - started
            records = self._records() - before
            self.progress("tick", number=ticks, records=records, a_second=round(records / seconds), blocks_left=left)
            if not left and (not unswept or limits.all_doubtful(endpoints)):
                break
            if not done and left:
                self.stopping.wait(_WAIT_SECONDS)  # another process is at them, or has just died
        return ticks

    def _planned_until(self) -> Micros:
        with self.store.read() as tx:
            return ledger.planned_until(tx, self.clock.now())

    def _left(self, sweep: str, planned_by: Micros) -> tuple[int, int]:
        """Blocks that the look has to wait for, and whether there is a sample."""
        with self.store.read() as tx:
            now = self.clock.now()
            free = ledger.count_free_samples(tx, sweep, ledger.live_owners(tx, now), now, most=1, planned_by=planned_by)
            return ledger.count_open_blocks(tx, sweep, planned_by), free

    def _records(self) -> int:
        return retry_conflicts(self._records_done)

    def _records_done(self) -> int:
        with self.store.read() as tx:
            return int(tx.value("records_done") or 0)

    def _tick(self, sweep: str, planned_by: Micros) -> bool:
        """Runs the pipeline over one tick; whether it got anything done."""
        import apache_beam as beam

        from pipelines.online import Online
        from pipelines.work import Tick

        before, losses = self._records(), self.store.losses
        tick = Tick(sweep, self.owner.name, planned_by)
        with _store_errors(), beam.Pipeline(runner=in_process_runner(), options=_options()) as pipeline:
            _ = pipeline | "tick" >> beam.Create([tick]) | "online" >> Online(self.settings)
        if self.store.losses > losses:
            retry_conflicts(self._give_back, sweep)
        return self._records() > before

    def _give_back(self, sweep: str) -> None:
        """A tick that is over has nothing in hand; what is still ours was claimed by a call whose answer was lost."""
        with self.store.write() as tx:
            ledger.give_back(tx, self.owner.name, sweep)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Beats while the job lives, turns signals into a stop after the bundle in work, and leaves in the end."""
        ended = threading.Event()
        retry_conflicts(self._beat)
        heart = threading.Thread(target=self._keep_beating, args=(ended,), daemon=True, name="heartbeat")
        heart.start()
        try:
            with signals(self._stop):
                yield
        finally:
            ended.set()
            heart.join()
            self._leave()

    def _leave(self) -> None:
        try:
            retry_conflicts(self._measures().flush, self.store, self.owner.name)
            retry_conflicts(self._give_all_back)
        except StoreUnavailable as error:  # the heartbeat ends anyway
            _log.warning("%s", error)

    def _give_all_back(self) -> None:
        with self.store.write() as tx:
            ledger.leave(tx, self.owner)

    def _stop(self) -> None:
        self.progress("stopping", after="the bundle in work")
        self.stopping.set()

    def _beat(self) -> None:
        with self.store.write() as tx:
            ledger.beat(tx, self.owner, self.clock.now())
        self._measures().flush(self.store, self.owner.name)

    def _measures(self) -> "Measures":
        from pipelines.measures import Measures

        return Measures.here(self.store.url)

    def _keep_beating(self, ended: threading.Event) -> None:
        while not ended.wait(ledger.HEARTBEAT / SECOND):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - a missed beat must not end the job; the next one may get through
                _log.warning("heartbeat: %s", error)


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """Beam adds to our messages where it was, or has them in the last line of a traceback only, and logs one itself."""
    beam = logging.getLogger("apache_beam.runners.common")
    beam.addFilter(_is_no_store_error)
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, StoreError) else "".join(_STORE_ERROR.findall(str(error))[-1:])
        if not said:
            raise
        raise StoreUnavailable(said.split(" [while running ")[0]) from error
    finally:
        beam.removeFilter(_is_no_store_error)


def _is_no_store_error(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], StoreError))


def in_process_runner() -> Any:
    """Beam's own in-process runner, by name: the default one would try to download another first."""
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    return FnApiRunner()


def _options() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([])
