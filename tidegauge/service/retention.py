"""Removes texts and old rollups, in short transactions, beside a job that goes on."""

import math
import sys
from collections.abc import Callable

import msgspec

from tidegauge.config import Config
from tidegauge.domain import DAY, Clock, Micros
from tidegauge.storage import months, retention
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Store, retry_conflicts

_WINDOW_DAYS = 30
"""Beyond the longest window of an objective, rollups of so many days are kept anyway."""


class Pruned(msgspec.Struct):
    """What was removed, or would be: texts of samples and quarantined lines, their bytes; rows that go as a whole."""

    samples: int = 0
    quarantined: int = 0
    bytes: int = 0
    cached: int = 0
    """Answers of judges that would have stood in for new ones."""
    rollups: int = 0


def prune(store: Store, before: Micros, stopped: Callable[[], bool] = lambda: False) -> Pruned:
    """Removes texts: of samples with an event time before `before`, of lines quarantined and answers cached before it.

    Kept are pending samples, cases that wait for a label, and the evidence of open incidents. No count, rate, label or
    incident changes. It may be interrupted, and run twice at once.
    """
    found = Pruned()
    after = None
    while not stopped():
        portion = retry_conflicts(_samples, store, before, after)
        found.samples += portion.rows
        found.bytes += portion.bytes
        after = portion.after
        if after is None:
            break
    while not stopped():
        rows, size = retry_conflicts(_quarantine, store, before)
        found.quarantined += rows
        found.bytes += size
        if rows < retention.PORTION:
            break
    found.cached = _portions(_answers, store, before, stopped)
    return found


def preview(store: Store, before: Micros) -> Pruned:
    """What `prune` would remove."""
    found = Pruned()
    after = None
    while True:
        with store.read() as tx:
            portion = retention.prune_samples(tx, before, after, dry=True)
        found.samples += portion.rows
        found.bytes += portion.bytes
        after = portion.after
        if after is None:
            break
    with store.read() as tx:
        rows, size = retention.prune_quarantine(tx, before, sys.maxsize, dry=True)
        found.cached = int(tx.value("answers_to_prune", before=before))
    found.quarantined, found.bytes = rows, found.bytes + size
    return found


def prune_rollups(store: Store, before: Micros, stopped: Callable[[], bool] = lambda: False) -> int:
    """Removes five-minute rollups of before `before`; rows. On PostgreSQL whole months go at once, and first."""
    removed = 0
    for month in retry_conflicts(_months, store):
        if month.next.first <= before // FIVE_MINUTES and not stopped():
            removed += retry_conflicts(_drop, store, month)
    return removed + _portions(_rollups, store, before // FIVE_MINUTES, stopped)


def preview_rollups(store: Store, before: Micros) -> int:
    """Rows that `prune_rollups` would remove."""
    with store.read() as tx:
        return int(tx.value("rollups_to_prune", before=before // FIVE_MINUTES))


def oldest_rollups(config: Config, span: Micros, now: Micros) -> Micros:
    """Rollups of before that may go after such a time: none that the window of an objective may still ask for."""
    longest = max((slo.window.days for slo in config.slos), default=0.0)
    return now - max(span, math.ceil(longest + _WINDOW_DAYS) * DAY)


def daily(store: Store, config: Config, clock: Clock, stopped: Callable[[], bool] = lambda: False) -> Pruned | None:
    """Prunes once a day, in one process of all; None where it is not the time, or everything is kept for ever.

    Makes months in any case.
    """
    section, now = config.store, clock.now()
    retry_conflicts(make_months, store, now)
    if section.retention_days is None and section.rollup_days is None:
        return None
    if not retry_conflicts(_claim, store, now):
        return None
    found = Pruned() if section.retention_days is None else prune(store, now - section.retention_days * DAY, stopped)
    if section.rollup_days is not None:
        found.rollups = prune_rollups(store, oldest_rollups(config, section.rollup_days * DAY, now), stopped)
    return found


def make_months(store: Store, now: Micros) -> None:
    """Partitions for what comes, on PostgreSQL."""
    if store.dialect == "postgresql":
        with store.write() as tx:
            months.make_ahead(tx, now)


def _months(store: Store) -> list[months.Month]:
    with store.read() as tx:
        return months.known(tx)


def _drop(store: Store, month: months.Month) -> int:
    with store.write() as tx:
        rows = int(tx.value("rollups_between", first=month.first, stop=month.next.first))
        months.drop(tx, month)
        return rows


def _portions(remove: Callable[[Store, int], int], store: Store, before: int, stopped: Callable[[], bool]) -> int:
    """Removes portion by portion until one is not full; rows."""
    removed = 0
    while not stopped():
        rows = retry_conflicts(remove, store, before)
        removed += rows
        if rows < retention.PORTION:
            break
    return removed


def _answers(store: Store, before: int) -> int:
    with store.write() as tx:
        return retention.prune_answers(tx, before)


def _rollups(store: Store, before: int) -> int:
    with store.write() as tx:
        return retention.prune_rollups(tx, before)


def _claim(store: Store, now: Micros) -> bool:
    with store.write() as tx:
        return retention.claim(tx, now)


def _samples(store: Store, before: Micros, after: tuple[Micros, str] | None) -> retention.Portion:
    with store.write() as tx:
        if after is None:
            retention.prune_shadows(tx, before)
        return retention.prune_samples(tx, before, after)


def _quarantine(store: Store, before: Micros) -> tuple[int, int]:
    with store.write() as tx:
        return retention.prune_quarantine(tx, before)
