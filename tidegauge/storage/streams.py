"""Streams: which were submitted, and whether one is asked to stop."""

from tidegauge.domain import DAY, SECOND, Micros
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Row, Transaction

SILENT_AFTER = 60 * SECOND
"""A submitter that has not been heard of for so long is gone; its pipeline may live on."""


def submit(tx: Transaction, job: str, runner: str, now: Micros) -> None:
    """Its submitter is this process. Workers that have been silent for a day are forgotten."""
    tx.run("forget_owners", before=now - DAY)
    here = Owner.this_process(now)
    tx.run("submit_stream", job=job, runner=runner, now=now, host=here.host, pid=here.pid, pid_started=here.pid_started)


def left_behind(tx: Transaction, now: Micros) -> list[str]:
    """Streams whose submitters are gone."""
    return [row["job"] for row in tx.rows("streams") if _silent(row, now)]


def count_live(tx: Transaction, now: Micros) -> int:
    """Streams whose submitters are there."""
    return sum(not _silent(row, now) for row in tx.rows("streams"))


def _silent(row: Row, now: Micros) -> bool:
    return bool(row["beat_at"] < now - SILENT_AFTER) or ledger.gone(row)


def beat(tx: Transaction, job: str, now: Micros) -> None:
    """Says that the submitter is there."""
    tx.run("beat_stream", job=job, now=now)


def stop(tx: Transaction, job: str) -> None:
    """Asks the stream's workers to plan and claim nothing more."""
    tx.run("stop_stream", job=job)


def fail(tx: Transaction, job: str, reason: str) -> None:
    """Says why its pipeline ended; the row stays until it is submitted again, or given up."""
    tx.run("fail_stream", job=job, reason=reason)


def end(tx: Transaction, job: str) -> None:
    tx.run("end_stream", job=job)
    tx.run("forget_ticks")


def stops(tx: Transaction, job: str, now: Micros) -> bool:
    """Whether it is to stop: it was asked to, it ended, or its submitter is gone and a later stream is there."""
    stopping = tx.value("stream_stops", job=job, alive_since=now - SILENT_AFTER)
    return stopping is None or bool(stopping)
