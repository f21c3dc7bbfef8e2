"""Which verdicts were exported: a cursor in the store, one exporter at a time, everything at least once."""

from collections.abc import Sequence

from tidegauge.domain import MINUTE, Micros
from tidegauge.storage.store import Row, Transaction

OVERLAP = 15 * MINUTE
"""A transaction may end this much after the time that its verdicts bear."""


def begin(tx: Transaction, exporter: str, now: Micros) -> None:
    """Verdicts from now on are exported; where it began before, nothing changes."""
    tx.run("begin_export", exporter=exporter, now=now)


def claim(tx: Transaction, exporter: str, now: Micros, until: Micros, most: int) -> tuple[list[Row], int] | None:
    """What is to be exported, and how often that failed; None while it is not due or another process is at it."""
    row = tx.first("claim_export", exporter=exporter, now=now, until=until)
    if row is None:
        return None
    since = max(row["since"], row["judged_at"] - OVERLAP)
    return tx.rows("verdicts_to_export", exporter=exporter, since=since, most=most), int(row["failed"])


def succeeded(tx: Transaction, exporter: str, rows: Sequence[Row], now: Micros) -> None:
    names = ("request_id", "indicator", "judged_at")
    tx.many("insert_exported", [{"exporter": exporter, **{name: row[name] for name in names}} for row in rows])
    newest = max((int(row["judged_at"]) for row in rows), default=0)
    tx.run("record_export", exporter=exporter, judged_at=newest, failed=0, due_at=now, said="")
    if rows:
        tx.run("forget_exported", exporter=exporter, before=newest - 2 * OVERLAP)


def failed(tx: Transaction, exporter: str, times: int, said: str, due_at: Micros) -> None:
    tx.run("record_export", exporter=exporter, judged_at=0, failed=times, due_at=due_at, said=said[:200])
