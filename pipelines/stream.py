"""`tidegauge stream`: submits the pipeline, watches over it and submits it again when it fails; stops it in order.

The engine's own state is worth nothing to us: whatever it loses, the ledger still has.
"""

import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

from pipelines import runners
from pipelines.start import Progress, chosen_sources, placed, prepare, quiet, signals, status_now, to_stderr
from tidegauge.alerts.act import act
from tidegauge.config import Config
from tidegauge.config_sources import SourceSection
from tidegauge.domain import SECOND, Clock
from tidegauge.errors import StoreError, TidegaugeError, UsageError
from tidegauge.service import retention
from tidegauge.storage import ledger, streams
from tidegauge.storage.store import Store, retry_conflicts

_POLL_SECONDS = 0.5
_PRUNE_SECONDS = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_END_SECONDS = 5.0
_GOOD_SECONDS = 120.0
"""A pipeline that ran for so long is submitted again at once when it fails."""

_ENDED = ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED")

_log = logging.getLogger("tidegauge")


class Summary(NamedTuple):
    """What a stream did: how often it was submitted, whether all work in hand was done at its end, and the counts."""

    submitted: int
    drained: bool
    status: dict[str, Any]


def stream(
    config: Config,
    store: Store,
    clock: Clock,
    runner: str,
    *,
    logs: Sequence[str] | None = None,
    options: Sequence[str] = (),
    progress: Progress = to_stderr,
) -> Summary:
    """Runs until SIGTERM or SIGINT, which let the work in hand be done first. A second one cancels at once.

    `options` go to Beam as they are. Must be called in the main thread. Raises TidegaugeError.
    """
    sources = chosen_sources(config, logs)
    prepare(config, store, clock, progress)
    supervisor = _Supervisor(config, store, clock, runner, progress)
    with signals(supervisor.stop):
        submitted = supervisor.keep_running(_settings(config, store, clock, sources), options)
    return Summary(submitted, supervisor.drained, status_now(store, clock))


def _settings(config: Config, store: Store, clock: Clock, sources: tuple[SourceSection, ...]) -> Any:
    with quiet():
        from pipelines.work import STORE_VARIABLE, Settings
    # Workers may be this very process; others have their own environment. A password never travels in a pipeline.
    os.environ[STORE_VARIABLE] = store.url
    return Settings(placed(config, store.url_without_password), sources, clock)


class _Supervisor:
    def __init__(self, config: Config, store: Store, clock: Clock, runner: str, progress: Progress) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._runner = runner
        self._progress = progress
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._beaten = -math.inf
        self._watch = streams.Watch()
        self.drained = False
        self._prune_at = 0.0

    def stop(self) -> None:
        """Drains at the first call, cancels at the second."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def keep_running(self, settings: Any, further: Sequence[str]) -> int:
        """Submits, and again after a failure; how often. Raises UsageError when the runner is not there at first."""
        submitted, pause = 0, _FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with runners.options(self._runner, self._config.stream, further) as options, self._registered() as job:
                    submitted += 1
                    reason = self._run_once(msgspec.structs.replace(settings, stream=job), options)
            except (UsageError, StoreError) as error:
                if isinstance(error, UsageError) and not submitted:
                    raise
                reason = str(error)
            if self._stopping.is_set():
                break
            pause = _FIRST_PAUSE if time.monotonic() - began > _GOOD_SECONDS else min(2 * pause, _LONGEST_PAUSE)
            self._progress("failed", again_in_seconds=pause, reason=reason)
            with self._failed(reason):
                self._stopping.wait(pause)
        return submitted

    @contextmanager
    def _registered(self) -> Iterator[str]:
        """The row of one submission in the store, by which its workers, wherever they are, see when to stop."""
        job = uuid.uuid4().hex[:12]
        with self._store.write() as tx:
            others = streams.count_live(tx, self._clock.now())
            streams.submit(tx, job, self._runner, self._clock.now())
        if others:
            self._progress("beside", streams=others)
        try:
            yield job
        finally:
            _leave_all()
            self._end([job])

    @contextmanager
    def _failed(self, reason: str) -> Iterator[None]:
        """A row for the time in which nothing runs, so that everybody sees that, and why."""
        job = uuid.uuid4().hex[:12]
        try:
            with self._store.write() as tx:
                streams.submit(tx, job, self._runner, self._clock.now())
                streams.fail(tx, job, reason)
        except StoreError as error:
            _log.warning("%s", error)
        yield
        with suppress(StoreError), self._store.write() as tx:
            streams.end(tx, job)

    def _end(self, jobs: Sequence[str]) -> None:
        if not jobs:
            return
        with self._store.write() as tx:
            for job in jobs:
                streams.end(tx, job)
        runners.cancel(self._runner, self._config.stream, jobs)

    def _run_once(self, settings: Any, options: Sequence[str]) -> str:
        """From submission to the end of the pipeline; why it ended."""
        try:
            result = _submit(settings, [*options, f"--job_name={runners.job_name(settings.stream)}"])
        except Exception as error:  # noqa: BLE001 - whatever a runner raises: the next submission may get through
            return _line(error)
        self._progress("running", job=settings.stream)
        try:
            while not self._stopping.wait(_POLL_SECONDS):
                self._beat(settings.stream)
                if str(result.state) in _ENDED:
                    return _reason(result)
                self._prune(settings.stream)
            self._drain(settings.stream)
            self._wait_for_end(result)
        except Exception as error:  # noqa: BLE001 - a runner that is gone
            return _line(error)
        finally:
            _cancel(result)
        return "stopped"

    def _beat(self, job: str) -> None:
        if time.monotonic() - self._beaten < ledger.HEARTBEAT / SECOND:
            return
        self._beaten = time.monotonic()
        try:
            with self._store.write() as tx:
                streams.beat(tx, job, self._clock.now())
                left_behind = self._watch.left_behind(tx, self._clock.now())
            self._end(left_behind)
        except StoreError as error:
            _log.warning("%s", error)

    def _wait_for_end(self, result: Any) -> None:
        """The ticks have ended, and the pipeline soon will; a job server that is told to cancel may not tell Flink."""
        deadline = time.monotonic() + _END_SECONDS
        while str(result.state) not in _ENDED and time.monotonic() < deadline and not self._hurry.wait(_POLL_SECONDS):
            pass

    def _prune(self, job: str) -> None:
        """Looks every few minutes whether the day's pruning is due."""
        if time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + _PRUNE_SECONDS
        try:
            retention.daily(self._store, self._config, self._clock, lambda: self._stops(job))
        except StoreError as error:  # tomorrow is another day
            _log.warning("%s", error)

    def _stops(self, job: str) -> bool:
        self._beat(job)
        return self._stopping.is_set()

    def _drain(self, job: str) -> None:
        """Waits until nobody of this stream has work in hand, and decides what came of it."""
        with self._store.write() as tx:
            streams.stop(tx, job)
        self._progress("stopping", after="the work in hand")
        deadline = time.monotonic() + self._config.stream.drain_seconds
        idle = 0
        # A worker may have seen the stream running just before it was stopped, and claims only then.
        while time.monotonic() < deadline and not self._hurry.wait(_POLL_SECONDS):
            idle = 0 if self._in_hand(job) else idle + 1
            if idle * _POLL_SECONDS > 2 * self._config.stream.tick_seconds:
                self.drained = True
                break
        retry_conflicts(act, self._store, self._config, self._clock)

    def _in_hand(self, job: str) -> bool:
        try:
            with self._store.read() as tx:
                now = self._clock.now()
                mine = [row["owner"] for row in ledger.live_rows(tx, now) if row["job"] == job]
                return any(ledger.in_work(tx, mine, now))
        except StoreError as error:
            _log.warning("%s", error)
            return True


def _leave_all() -> None:
    """Where workers lived in this process."""
    with quiet():
        from pipelines import presence
    presence.leave_all()


def _submit(settings: Any, options: Sequence[str]) -> Any:
    with quiet():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        from pipelines.online import Online
        from pipelines.ticks import ticks
    for name in ("apache_beam.options.pipeline_options", "apache_beam.runners.portability.stager"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they warn of options that are the job server's to know
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    _ = pipeline | "tick" >> ticks(settings) | "online" >> Online(settings)
    return pipeline.run()


def _cancel(result: Any) -> None:
    try:
        if str(result.state) not in _ENDED:
            result.cancel()
    except Exception as error:  # noqa: BLE001 - it may be gone already, and its work is in the ledger anyway
        _log.info("cancel: %s", _line(error))


def _reason(result: Any) -> str:
    """Why a pipeline ended: the last line of what it raised, for the traceback is long and remote."""
    try:
        result.wait_until_finish(1000)
    except Exception as error:  # noqa: BLE001 - that is how it tells
        return _line(error)
    return f"the pipeline ended: {result.state}"


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, TidegaugeError) or not lines:
        return lines[0] if lines else type(error).__name__
    return f"{type(error).__name__}: {lines[-1]}"[:500]
