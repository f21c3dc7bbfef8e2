"""Streams: which were submitted, and whether one is asked to stop."""

from tidegauge.domain import Micros
from tidegauge.storage.store import Transaction


def submit(tx: Transaction, job: str, runner: str, now: Micros) -> None:
    tx.run("submit_stream", job=job, runner=runner, now=now)


def stop(tx: Transaction, job: str) -> None:
    """Asks the stream's workers to plan and claim nothing more."""
    tx.run("stop_stream", job=job)


def end(tx: Transaction, job: str) -> None:
    tx.run("end_stream", job=job)


def stops(tx: Transaction, job: str) -> bool:
    """Whether the stream was asked to stop. One that ended is asked to stop, too."""
    stopping = tx.value("stream_stops", job=job)
    return stopping is None or bool(stopping)
