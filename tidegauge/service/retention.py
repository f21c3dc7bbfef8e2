"""Removes texts that are older than is wanted, in short transactions, beside a job that goes on."""

import sys
from collections.abc import Callable

import msgspec

from tidegauge.domain import DAY, Clock, Micros
from tidegauge.storage import retention
from tidegauge.storage.store import Store, retry_conflicts


class Pruned(msgspec.Struct):
    """Texts removed, or that would be: rows and bytes."""

    samples: int = 0
    quarantined: int = 0
    bytes: int = 0


def prune(store: Store, before: Micros, stopped: Callable[[], bool] = lambda: False) -> Pruned:
    """Removes the texts of samples with an event time before `before`, and of lines quarantined before it.

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
    found.quarantined, found.bytes = rows, found.bytes + size
    return found


def daily(store: Store, days: int | None, clock: Clock, stopped: Callable[[], bool] = lambda: False) -> Pruned | None:
    """Prunes once a day, in one process of all; None where it is not the time, or texts are kept for ever."""
    if days is None or not retry_conflicts(_claim, store, clock.now()):
        return None
    return prune(store, clock.now() - days * DAY, stopped)


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
