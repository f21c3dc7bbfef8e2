"""What a job does before it looks, and how it is told to stop; the same for one that looks once and for a stream."""

import contextlib
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from evaluators.build import build_cascade, build_further
from evaluators.endpoint import asked_judges
from pipelines import sampling
from tidegauge.config import Config
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Clock, Micros
from tidegauge.errors import UsageError
from tidegauge.service import artifacts, objectives, retention
from tidegauge.spelling import is_text
from tidegauge.stdio import say
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store, retry_conflicts

_log = logging.getLogger("tidegauge")


class Progress(Protocol):
    def __call__(self, event: str, **facts: Any) -> None: ...


def to_stderr(event: str, **facts: Any) -> None:
    """Progress for people."""
    say(f"{event}: " + ", ".join(f"{k} {v}" for k, v in facts.items()))


def to_stderr_as_json(event: str, **facts: Any) -> None:
    """Progress for machines: one object a line."""
    say(json.dumps({"event": event, **facts}))


def declare_objectives(store: Store, config: Config, now: Micros) -> list[str]:
    """Stores the objectives of every intent that has any; a line for each that changed."""
    with store.write() as tx:
        intents = objectives.known_intents(tx)
        wanted = [config.objective(intent) for intent in intents]
        wanted += [config.as_objective(slo) for slo in config.counted(intents)]
        return objectives.declare(tx, wanted, now)


def silent(event: str, **facts: Any) -> None:
    """No progress."""


def prepare(config: Config, store: Store, clock: Clock, progress: Progress) -> None:
    """Schema, artifacts, sampling plan and objectives. Raises TidegaugeError for what cannot be."""
    retry_conflicts(migrate, store)
    retry_conflicts(retention.make_months, store, clock.now())
    cascade = build_cascade(config)
    everybody = (cascade, *build_further(config).values())
    retry_conflicts(artifacts.register, store, tuple(one for c in everybody for one in c.artifacts()), clock.now())
    given = os.environ.get(sampling.KEY_VARIABLE)
    retry_conflicts(sampling.prepare, store, clock, config.sampling.rate, given, _log.warning)
    for line in retry_conflicts(declare_objectives, store, config, clock.now()):
        progress("objective", changed=line)
    if not asked_judges(config):
        progress("judge", state="none is asked: heuristics alone decide")


def _status(store: Store, clock: Clock) -> dict[str, Any]:
    with store.read() as tx:
        return status(tx, clock.now())


def status_now(store: Store, clock: Clock) -> dict[str, Any]:
    """What the store has when a job ends."""
    return retry_conflicts(_status, store, clock)


def chosen_sources(config: Config, logs: Sequence[str] | None) -> tuple[SourceSection, ...]:
    """The configured sources, or these logs instead. Raises UsageError where there are none."""
    sources = tuple(SourceSection(files=log) for log in logs) if logs else config.sources
    if not sources:
        raise UsageError("no sources: name them in tidegauge.yaml under `sources`, or give --log GLOB")
    for source in sources:
        if not is_text(source.files or ""):
            raise UsageError(f"sources: {source.files}: its name is not UTF-8, and cannot be kept; give it another")
    return sources


def placed(config: Config, url: str) -> Config:
    """The configuration with the store that is really used, which the command line may have named."""
    return msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=url))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Beam warns at import of cloud clients that nobody asked for."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
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
