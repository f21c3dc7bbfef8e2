"""Sampling plan rows and the key: what chose every sample, for ever."""

from collections.abc import Sequence
from typing import Any

from tidegauge.domain import Micros, Value
from tidegauge.storage.store import Transaction

BEGINNING: Micros = -(2**62)
"""The event time from which the first plan row holds."""

FIVE_MINUTES: Micros = 300_000_000

HEADWAY: Micros = 600_000_000
"""A new plan row holds from at least this long after the newest event: no committed record may fall under it."""

_LOCK = 7_483_920_147


class Plan(Value, frozen=True, kw_only=True):
    """A sampling probability that holds from an event time on; empty intent or deployment: all of them."""

    plan: int
    valid_from: Micros
    rate: float
    intent: str
    deployment: str
    key_fingerprint: str
    reason: str
    created_at: Micros


def lock(tx: Transaction, shared: bool) -> None:
    """Keeps plan rows and commits apart on PostgreSQL; on SQLite a writing transaction is alone anyway."""
    if tx.dialect == "postgresql":
        tx.rows("lock_plans_shared" if shared else "lock_plans", id=_LOCK)


def plans(tx: Transaction) -> list[Plan]:
    """All rows, in the order in which they were written."""
    return [Plan(**row) for row in tx.rows("sampling_plans")]


def add_plan(
    tx: Transaction,
    valid_from: Micros,
    rate: float,
    intent: str,
    deployment: str,
    key_fingerprint: str,
    reason: str,
    now: Micros,
) -> Plan:
    values: dict[str, Any] = {
        "plan": int(tx.value("newest_plan") or 0) + 1,
        "valid_from": valid_from,
        "rate": rate,
        "intent": intent,
        "deployment": deployment,
        "key_fingerprint": key_fingerprint,
        "reason": reason,
        "created_at": now,
    }
    tx.run("insert_plan", **values)
    return Plan(**values)


def key(tx: Transaction) -> bytes | None:
    """The key made in the store; None where none was made; empty where the operator brings it."""
    value = tx.value("meta_value", name="sampling_key")
    return None if value is None else bytes.fromhex(value)


def keep_key(tx: Transaction, made: bytes | None, key_fingerprint: str) -> None:
    tx.run("insert_meta", name="sampling_key", value=(made or b"").hex())
    tx.run("insert_meta", name="sampling_key_fingerprint", value=key_fingerprint)


def newest_event(tx: Transaction) -> Micros | None:
    """The end of the newest 5 minutes with traffic."""
    bucket = tx.value("newest_bucket")
    return None if bucket is None else (int(bucket) + 1) * FIVE_MINUTES


def earliest(tx: Transaction, now: Micros) -> Micros:
    """From when a new plan row may hold."""
    newest = newest_event(tx)
    return HEADWAY + (now if newest is None else newest)


def scope(plans: Sequence[Plan], intent: str, deployment: str) -> list[Plan]:
    """The rows that may hold for a key, by the time from which they do."""
    found = [p for p in plans if p.intent in ("", intent) and p.deployment in ("", deployment)]
    return sorted(found, key=lambda p: (p.valid_from, p.plan))


def in_force(plans: Sequence[Plan], intent: str, deployment: str, time: Micros) -> Plan | None:
    """The row that holds for an event: of those that match, the one with the latest `valid_from`."""
    found = [plan for plan in scope(plans, intent, deployment) if plan.valid_from <= time]
    return found[-1] if found else None
