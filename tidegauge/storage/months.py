"""Months of event time that five-minute rollups are kept by on PostgreSQL, where each is a partition."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from tidegauge.domain import SECOND, Micros
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Transaction

AHEAD = 2
"""Months that are there before the first of their rows."""

_NAME = re.compile(r"rollup_5m_(\d{4})_(\d{2})")


class Month(NamedTuple):
    year: int
    month: int

    @classmethod
    def of(cls, time: Micros) -> "Month":
        at = datetime.fromtimestamp(time / SECOND, UTC)
        return cls(at.year, at.month)

    @property
    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def table(self) -> str:
        return f"rollup_5m_{self.year:04d}_{self.month:02d}"

    @property
    def first(self) -> int:
        """Number of its first bucket."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * SECOND // FIVE_MINUTES


def known(tx: Transaction) -> list[Month]:
    """Months that are partitions; none on SQLite."""
    if tx.dialect != "postgresql":
        return []
    found = (_NAME.fullmatch(row["name"]) for row in tx.rows("rollup_months"))
    return sorted(Month(int(name[1]), int(name[2])) for name in found if name)


def make_ahead(tx: Transaction, now: Micros) -> None:
    """Makes this month and the next ones on PostgreSQL, but for those that the rest has rows of already."""
    wanted = [Month.of(now)]
    while len(wanted) <= AHEAD:
        wanted.append(wanted[-1].next)
    missing = sorted(set(wanted) - set(known(tx)))
    if all(_is_taken(tx, month) for month in missing):
        return
    tx.run("lock_rest")  # nobody may write there between a look and the partition
    for month in missing:
        if not _is_taken(tx, month):
            span = f"FROM ({month.first}) TO ({month.next.first})"
            tx.script(f"CREATE TABLE IF NOT EXISTS {month.table} PARTITION OF rollup_5m FOR VALUES {span}")


def _is_taken(tx: Transaction, month: Month) -> bool:
    return bool(tx.value("rest_has", first=month.first, stop=month.next.first))


def drop(tx: Transaction, month: Month) -> None:
    """Removes a month with its rows; writers wait for that moment."""
    tx.script(f"DROP TABLE IF EXISTS {month.table}")
