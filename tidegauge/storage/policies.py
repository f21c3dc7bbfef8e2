"""Objectives and policies: versioned rows, so that every outcome can name what applied to it."""

from collections.abc import Sequence
from typing import Any

from tidegauge.domain import Micros, Objective, Value
from tidegauge.storage.store import Row, Transaction


class StoredObjective(Value, frozen=True, kw_only=True):
    """An objective with the number of its version."""

    objective: int
    indicator: str
    intent: str
    theta0: float
    alpha: float
    false_positive_rate: float
    owner: str
    risk: str
    created_at: Micros
    window_text: str = "28d"
    threshold_ms: float | None = None


def objectives_in_force(tx: Transaction) -> dict[tuple[str, str], StoredObjective]:
    """The newest version of each objective, by indicator and intent."""
    return {(row["indicator"], row["intent"]): StoredObjective(**row) for row in tx.rows("objectives_in_force")}


def keep_objectives(
    tx: Transaction, objectives: Sequence[Objective], now: Micros
) -> dict[tuple[str, str], StoredObjective]:
    """Writes what changed. What is tested gets a new version; who is told is changed in place."""
    kept = objectives_in_force(tx)
    if all(_same(kept.get((wanted.indicator, wanted.intent)), wanted) for wanted in objectives):
        return kept
    if tx.dialect == "postgresql":
        tx.rows("lock_objectives")
    kept = objectives_in_force(tx)
    number = int(tx.value("newest_objective_number") or 0)
    for wanted in objectives:
        old = kept.get((wanted.indicator, wanted.intent))
        if _same(old, wanted):
            continue
        if old is not None and _tested(old) == _tested(wanted):
            _tell(tx, old, wanted, now)
            continue
        number += 1
        tx.run(
            "insert_objective",
            objective=number,
            indicator=wanted.indicator,
            intent=wanted.intent,
            theta0=wanted.theta0,
            alpha=wanted.alpha,
            false_positive_rate=wanted.false_positive_rate,
            owner=wanted.owner,
            risk=wanted.risk,
            window_text=wanted.window,
            threshold_ms=wanted.threshold_ms,
            created_at=now,
        )
    return objectives_in_force(tx)


def _tell(tx: Transaction, old: StoredObjective, wanted: Objective, now: Micros) -> None:
    """Changes who is told and what the budget is for, in place, and remembers what was there."""
    told = {"owner": wanted.owner, "risk": wanted.risk, "window_text": wanted.window}
    tx.run("tell_objective", objective=old.objective, **told)
    for what, new in told.items():
        before = getattr(old, what)
        if before != new:
            tx.run("insert_objective_change", objective=old.objective, now=now, what=what, old=before, new=new)


def _tested(objective: Objective | StoredObjective) -> tuple[float | None, ...]:
    return objective.theta0, objective.alpha, objective.false_positive_rate, objective.threshold_ms


def _same(kept: StoredObjective | None, wanted: Objective) -> bool:
    if kept is None or _tested(kept) != _tested(wanted):
        return False
    return (kept.owner, kept.risk, kept.window_text) == (wanted.owner, wanted.risk, wanted.window)


def keep_policy(tx: Transaction, *, policy: str, indicator: str, intent: str, body: str, now: Micros) -> None:
    """Writes a policy row, once for its content."""
    tx.run("insert_policy", policy=policy, indicator=indicator, intent=intent, made_at=now, body=body)


def put_snapshot(tx: Transaction, indicator: str, intent: str, **values: Any) -> None:
    """The snapshot in force of an intent: policy, at, made_at, s, bucket, capacity, log_m, deployment, since."""
    tx.run("put_snapshot", indicator=indicator, intent=intent, **values)


def snapshots(tx: Transaction, indicator: str, intents: Sequence[str]) -> dict[str, Row]:
    """made_at and the policy's body by intent."""
    rows = tx.rows_in("snapshots_of", "intents", sorted(intents), indicator=indicator)
    return {row["intent"]: row for row in rows}


def running_evidence(tx: Transaction, indicator: str, intents: Sequence[str]) -> dict[str, list[Row]]:
    """deployment, log_e and last_at of the tests that no incident has, by intent, the highest log_e first."""
    found: dict[str, list[Row]] = {}
    for row in tx.rows_in("running_evidence", "intents", sorted(intents), indicator=indicator):
        found.setdefault(row["intent"], []).append(row)
    return found


def traffic(tx: Transaction, intents: Sequence[str], blocks: int) -> list[Row]:
    """Samples of the tested tiers: intent, block, sampled, first_at, last_at, in that order.

    Of each intent its first block, and so many blocks up to its newest one.
    """
    return tx.rows_in("traffic_of_intents", "intents", sorted(intents), blocks=blocks)


def label_counts(tx: Transaction, indicator: str, since: int) -> list[Row]:
    """intent, evaluator_hash, bin, block: items, returned, positives of all deployments, from a block on."""
    return tx.rows("label_counts", indicator=indicator, since=since)
