"""What `tidegauge slo` shows: one row per intent and deployment."""

from collections.abc import Mapping
from typing import Any

from tidegauge.domain import DAY, HALLUCINATION, TEST_BLOCK, SloState, iso
from tidegauge.service.decide import wants_evidence
from tidegauge.service.incidents import deployment_fields
from tidegauge.service.objectives import rule_of
from tidegauge.service.rate import Shown, complete_to, shown
from tidegauge.slo import UNKNOWN
from tidegauge.storage import evidence, policies
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Transaction

BUDGET_BLOCKS = 28 * DAY // TEST_BLOCK

Place = tuple[str, str]
"""Intent and deployment."""


def slo_rows(tx: Transaction, objectives: Mapping[str, float]) -> list[dict[str, Any]]:
    """As `tidegauge slo --json` prints them; the newest episode of each deployment, also where nothing is judged yet.

    `objectives` gives theta0 for intents of which no objective was stored yet; "*" is its default.
    """
    newest: dict[Place, TestKey] = {(key.intent, key.deployment): key for key in evidence.keys(tx)}
    last_at = tx.value("newest_traffic") or 0
    traffic = tx.rows("traffic_of_cells", since=0)
    recent = tx.rows("traffic_of_cells", since=last_at // TEST_BLOCK - BUDGET_BLOCKS + 1)
    stored = policies.objectives_in_force(tx)
    seen = {place: _shown(tx, key, stored) for place, key in newest.items()}
    breached = {row["test_key"] for row in tx.rows("breached_keys")}
    known = evidence.deployments(tx, [row["deployment"] for row in traffic])
    budgets = _budgets(recent, seen)
    rows = []
    for row in traffic:
        rate = budgets.get(row["intent"])
        place = (row["intent"], row["deployment"])
        objective = stored.get((HALLUCINATION, row["intent"]))
        theta0 = objective.theta0 if objective else objectives.get(row["intent"], objectives.get("*", 0.03))
        rows.append(
            _row(row, newest.get(place), seen.get(place), theta0)
            | {
                "deployment": deployment_fields(row["deployment"], known),
                "budget_used": None if rate is None else rate / theta0,
                "state": _state(newest.get(place), seen.get(place), objective, breached).value,
            }
        )
    return rows


def _shown(tx: Transaction, key: TestKey, stored: Mapping[Place, StoredObjective]) -> Shown:
    last = complete_to(tx, key, max(key.read_block, key.last_at // TEST_BLOCK))
    return shown(tx, key, last, stored[key.indicator, key.intent].false_positive_rate)


def _row(traffic: Row, key: TestKey | None, seen: Shown | None, theta0: float) -> dict[str, Any]:
    rate = seen.rate if seen else UNKNOWN
    return {
        "indicator": HALLUCINATION,
        "intent": traffic["intent"],
        "deployment": {},
        "objective": theta0,
        "rate": rate.est,
        "low": rate.lo,
        "high": rate.hi,
        "judged": seen.judged if seen else 0,
        "unscored": seen.unscored if seen else 0,
        "labelled": seen.labelled if seen else 0,
        "positives": seen.positives if seen else 0,
        "log_e": key.max_log_e if key else 0.0,
        "budget_used": None,
        "as_of": iso(seen.as_of if seen else traffic["last_at"]),
        "state": "",
    }


def _state(key: TestKey | None, seen: Shown | None, objective: StoredObjective | None, breached: set[str]) -> SloState:
    if key is None or seen is None or objective is None:
        return SloState.UNKNOWN
    if key.test_key in breached:
        return SloState.BREACH
    if wants_evidence(seen, key.max_log_e, rule_of(objective)):
        return SloState.EVIDENCE_WANTED
    return SloState.UNKNOWN if seen.rate.unknown else SloState.OK


def _budgets(recent: list[Row], seen: Mapping[Place, Shown]) -> dict[str, float | None]:
    """Mean rate over an intent's requests of 28 days, deployments of unknown rate left out; None where all are."""
    sums: dict[str, list[float]] = {}
    for row in recent:
        entry = sums.setdefault(row["intent"], [0.0, 0.0])
        place = (row["intent"], row["deployment"])
        if place in seen and seen[place].rate.est is not None:
            entry[0] += float(row["requests"]) * (seen[place].rate.est or 0.0)
            entry[1] += float(row["requests"])
    found: dict[str, float | None] = {row["intent"]: None for row in recent}
    for intent, (bad, requests) in sums.items():
        found[intent] = bad / requests if requests else None
    return found
