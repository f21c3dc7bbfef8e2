"""`tidegauge stream`: submits the pipeline, watches over it and submits it again when it fails; stops it in order.

The engine's own state is worth nothing to us: whatever it loses, the ledger still has.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipelines import presence, runners
from pipelines.start import Progress, placed, prepare, quiet, signals, to_stderr
from tidegauge.alerts.act import act
from tidegauge.config import Config, SourceSection
from tidegauge.domain import Clock, short_hash
from tidegauge.errors import StoreError, TidegaugeError, UsageError
from tidegauge.service import retention
from tidegauge.storage import ledger, streams
from tidegauge.storage.status import status
from tidegauge.storage.store import Store, retry_conflicts

_POLL_SECONDS = 0.5
_PRUNE_SECONDS = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
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
    sources = tuple(SourceSection(files=log) for log in logs) if logs else config.sources
    if not sources:
        raise UsageError("no sources: name them in tidegauge.yaml under `sources`, or give --log GLOB")
    prepare(config, store, clock, progress)
    job = short_hash(str(os.getpid()), str(clock.now()), runner)
    supervisor = _Supervisor(config, store, clock, job, progress)
    with supervisor.registered(runner), signals(supervisor.stop):
        submitted = supervisor.keep_running(_settings(config, store, clock, sources, job), runner, options)
    with store.read() as tx:
        return Summary(submitted, supervisor.drained, status(tx, clock.now()))


def _settings(config: Config, store: Store, clock: Clock, sources: tuple[SourceSection, ...], job: str) -> Any:
    with quiet():
        from pipelines.work import STORE_VARIABLE, Settings
    # Workers may be this very process; others have their own environment. A password never travels in a pipeline.
    os.environ[STORE_VARIABLE] = store.url
    return Settings(placed(config, store.url_without_password), sources, clock, stream=job)


class _Supervisor:
    def __init__(self, config: Config, store: Store, clock: Clock, job: str, progress: Progress) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._job = job
        self._progress = progress
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self.drained = False
        self._prune_at = 0.0

    def stop(self) -> None:
        """Drains at the first call, cancels at the second."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    @contextmanager
    def registered(self, runner: str) -> Iterator[None]:
        """The stream's row in the store, by which its workers see when to stop."""
        with self._store.write() as tx:
            others = len({row["job"] for row in ledger.live_rows(tx, self._clock.now()) if row["job"]})
            streams.submit(tx, self._job, runner, self._clock.now())
        if others:
            self._progress("beside", streams=others)
        try:
            yield
        finally:
            presence.leave_all()
            with self._store.write() as tx:
                streams.end(tx, self._job)

    def keep_running(self, settings: Any, runner: str, further: Sequence[str]) -> int:
        """Submits, and again after a failure; how often."""
        submitted, pause = 0, _FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            with runners.options(runner, self._config.stream, further) as options:
                submitted += 1
                reason = self._run_once(settings, options)
            if self._stopping.is_set():
                break
            pause = _FIRST_PAUSE if time.monotonic() - began > _GOOD_SECONDS else min(2 * pause, _LONGEST_PAUSE)
            self._progress("failed", again_in_seconds=pause, reason=reason)
            self._stopping.wait(pause)
        return submitted

    def _run_once(self, settings: Any, options: Sequence[str]) -> str:
        """From submission to the end of the pipeline; why it ended."""
        try:
            result = _submit(settings, options)
        except Exception as error:  # noqa: BLE001 - whatever a runner raises: the next submission may get through
            return _line(error)
        self._progress("running", job=self._job)
        try:
            while not self._stopping.wait(_POLL_SECONDS):
                if str(result.state) in _ENDED:
                    return _reason(result)
                self._prune()
            self._drain()
        except Exception as error:  # noqa: BLE001 - a runner that is gone
            return _line(error)
        finally:
            _cancel(result)
        return "stopped"

    def _prune(self) -> None:
        """Looks every few minutes whether the day's pruning is due."""
        days = self._config.store.retention_days
        if days is None or time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + _PRUNE_SECONDS
        try:
            retention.daily(self._store, days, self._clock, self._stopping.is_set)
        except StoreError as error:  # tomorrow is another day
            _log.warning("%s", error)

    def _drain(self) -> None:
        """Waits until nobody of this stream has work in hand, and decides what came of it."""
        with self._store.write() as tx:
            streams.stop(tx, self._job)
        self._progress("stopping", after="the work in hand")
        deadline = time.monotonic() + self._config.stream.drain_seconds
        idle = 0
        # A worker may have seen the stream running just before it was stopped, and claims only then.
        while time.monotonic() < deadline and not self._hurry.wait(_POLL_SECONDS):
            idle = 0 if self._in_hand() else idle + 1
            if idle * _POLL_SECONDS > 2 * self._config.stream.tick_seconds:
                self.drained = True
                break
        retry_conflicts(act, self._store, self._config, self._clock)

    def _in_hand(self) -> bool:
        try:
            with self._store.read() as tx:
                now = self._clock.now()
                mine = [row["owner"] for row in ledger.live_rows(tx, now) if row["job"] == self._job]
                return any(ledger.in_work(tx, mine, now))
        except StoreError as error:
            _log.warning("%s", error)
            return True


def _submit(settings: Any, options: Sequence[str]) -> Any:
    with quiet():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        from pipelines.online import Online
        from pipelines.ticks import ticks
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    tick = settings.config.stream.tick_seconds
    _ = pipeline | "tick" >> ticks(settings.stream, tick) | "online" >> Online(settings)
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
