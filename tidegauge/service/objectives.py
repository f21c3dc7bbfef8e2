"""Objectives as they are tested: versioned, so that a changed one starts new tests."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from tidegauge.domain import HALLUCINATION, Micros, Objective, iso
from tidegauge.slo import BETS, Rule
from tidegauge.storage import policies
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Transaction


class Tested(Protocol):
    @property
    def theta0(self) -> float: ...
    @property
    def alpha(self) -> float: ...
    @property
    def false_positive_rate(self) -> float: ...


def ensure(tx: Transaction, objectives: Sequence[Objective], now: Micros) -> dict[str, StoredObjective]:
    """The stored version of each objective, by intent; a changed theta0, alpha or false positive rate is a new one."""
    kept = policies.keep_objectives(tx, objectives, now)
    return {wanted.intent: kept[wanted.indicator, wanted.intent] for wanted in objectives}


def ensure_all(tx: Transaction, objectives: Sequence[Objective], now: Micros) -> dict[tuple[str, str], StoredObjective]:
    """`ensure`, by indicator and intent."""
    return policies.keep_objectives(tx, objectives, now)


def rule_of(tested: Tested, bets: int = BETS) -> Rule:
    return _rule(tested.theta0, tested.alpha, tested.false_positive_rate, bets)


@cache
def _rule(theta0: float, alpha: float, false_positive_rate: float, bets: int) -> Rule:
    """The same object for every item, so that its bets are laid out once."""
    return Rule(theta0=theta0, alpha=alpha, false_positive_rate=false_positive_rate, bets=bets)


def known_intents(tx: Transaction) -> list[str]:
    """Intents that an objective was stored for."""
    return sorted({intent for _, intent in policies.objectives_in_force(tx)})


def declare(tx: Transaction, wanted: Sequence[Objective], now: Micros) -> list[str]:
    """Stores objectives that changed; a line for each change of one that was in force."""
    before = policies.objectives_in_force(tx)
    after = policies.keep_objectives(tx, wanted, now)
    return [
        _changed(old, after[place])
        for place, old in before.items()
        if place in after and after[place].objective != old.objective
    ]


def _changed(old: StoredObjective, new: StoredObjective) -> str:
    """One line: what changed, and what that does."""
    parts = [f"{100 * old.theta0:g} % is now {100 * new.theta0:g} %"] if old.theta0 != new.theta0 else []
    if old.threshold_ms != new.threshold_ms:
        parts.append(f"{old.threshold_ms:g} ms is now {new.threshold_ms:g} ms")
    if (old.alpha, old.false_positive_rate) != (new.alpha, new.false_positive_rate):
        parts.append("what counts as proof changed")
    starts = "; a new test starts" if new.indicator == HALLUCINATION else ""
    return f"{new.indicator} of {new.intent}: {', '.join(parts)}{starts}"


def history(tx: Transaction) -> list[dict[str, Any]]:
    """Every version of every objective, with what was changed in place, as `tidegauge slo history --json` prints it."""
    changes: dict[int, list[dict[str, Any]]] = {}
    for row in tx.rows("objective_changes"):
        said = {"at": iso(row["changed_at"]), "what": row["what"].removesuffix("_text")}
        changes.setdefault(row["objective"], []).append({**said, "old": row["old"], "new": row["new"]})
    return [
        {
            "version": row["objective"],
            "indicator": row["indicator"],
            "intent": row["intent"],
            "objective": row["theta0"],
            "threshold_ms": row["threshold_ms"],
            "window": row["window_text"],
            "risk": row["risk"],
            "owner": row["owner"],
            "since": iso(row["created_at"]),
            "changes": changes.get(row["objective"], []),
        }
        for row in tx.rows("objective_versions")
    ]
