"""Streams: which were submitted, and whether one is asked to stop."""

from tidegauge.domain import DAY, SECOND, Micros
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Row, Transaction

SILENT_AFTER = 60 * SECOND
"""A submitter that has not been heard of for so long is gone; its pipeline may live on."""

_STEP = ledger.DEAD_AFTER
"""Of the time between two looks, what counts at most: while a store is away nobody beats."""


def submit(tx: Transaction, job: str, runner: str, now: Micros) -> None:
    """Its submitter is this process. Workers that have been silent for a day are forgotten."""
    tx.run("forget_owners", before=now - DAY)
    here = Owner.this_process(now)
    tx.run("submit_stream", job=job, runner=runner, now=now, host=here.host, pid=here.pid, pid_started=here.pid_started)


class Watch:
    """Watches the submitters of all streams, from one that lives. A beat is no time to compare with: clocks differ. It
    is a sign of life when it changes, and silence is what passes between looks, not what a jump of the clock adds.
    """

    def __init__(self) -> None:
        self._looked: Micros | None = None
        self._silence: dict[str, tuple[Micros, Micros]] = {}

    def left_behind(self, tx: Transaction, now: Micros) -> list[str]:
        """Streams whose submitters are gone."""
        passed = 0 if self._looked is None else min(max(0, now - self._looked), _STEP)
        self._looked, before, rows = now, self._silence, tx.rows("streams")
        self._silence = {row["job"]: _silence(row, passed, before.get(row["job"])) for row in rows}
        return [row["job"] for row in rows if self._silence[row["job"]][1] > SILENT_AFTER or ledger.gone(row)]


def _silence(row: Row, passed: Micros, before: tuple[Micros, Micros] | None) -> tuple[Micros, Micros]:
    """The last beat, and the time since."""
    beat = row["beat_at"]
    return beat, before[1] + passed if before is not None and before[0] == beat else 0


def count_live(tx: Transaction, now: Micros) -> int:
    """Streams whose submitters seem to be there, to whom has just come."""
    return sum(row["beat_at"] >= now - SILENT_AFTER and not ledger.gone(row) for row in tx.rows("streams"))


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


def stops(tx: Transaction, job: str) -> bool:
    """Whether it is to stop: it was asked to, or it ended, perhaps by a later stream that found it left behind."""
    stopping = tx.value("stream_stops", job=job)
    return stopping is None or bool(stopping)
