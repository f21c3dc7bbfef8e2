"""What `tidegauge slo` shows: one row per intent and deployment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegauge.domain import DAY, HALLUCINATION, TEST_BLOCK, SloState, iso
from tidegauge.openslo import Slo
from tidegauge.service.budget import Budget, Segment, deployment_segments, judged_budget
from tidegauge.service.burning import exhausted_on
from tidegauge.service.decide import wants_evidence
from tidegauge.service.incidents import deployment_fields
from tidegauge.service.objectives import rule_of
from tidegauge.service.rate import Shown, complete_to, shown
from tidegauge.slo import UNKNOWN, Estimate
from tidegauge.storage import evidence, policies
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Transaction

SloOf = Callable[[str, str], Slo | None]
"""The objective of an indicator and an intent."""

Place = tuple[str, str]
"""Intent and deployment."""


def slo_rows(
    tx: Transaction, objectives: Mapping[str, float], slo_of: SloOf | None = None, only: str | None = None
) -> list[dict[str, Any]]:
    """As `tidegauge slo --json` prints them; the newest episode of each deployment, also where nothing is judged yet.

    `objectives` gives theta0 for intents of which no objective was stored yet; "*" is its default. `slo_of` gives the
    window of the budget, else it is 28 days. `only` names the one intent that is wanted.
    """
    keys = [key for key in evidence.keys(tx) if only in (None, key.intent)]
    newest: dict[Place, TestKey] = {(k.intent, k.deployment): k for k in keys if k.indicator == HALLUCINATION}
    traffic = [row for row in tx.rows("traffic_of_cells", since=0) if only in (None, row["intent"])]
    stored = policies.objectives_in_force(tx)
    seen = {place: _shown(tx, key, stored) for place, key in newest.items()}
    breached = {row["test_key"] for row in tx.rows("breached_keys")}
    known = evidence.deployments(tx, [row["deployment"] for row in traffic])
    budgets = _budgets(tx, stored, slo_of, sorted({row["intent"] for row in traffic}))
    segments = _segments(tx, stored, slo_of, {row["intent"] for row in traffic})
    rows = []
    for row in traffic:
        place = (row["intent"], row["deployment"])
        objective = stored.get((HALLUCINATION, row["intent"]))
        theta0 = objective.theta0 if objective else objectives.get(row["intent"], objectives.get("*", 0.03))
        rows.append(
            _row(row, newest.get(place), seen.get(place), theta0)
            | {
                "deployment": deployment_fields(row["deployment"], known),
                **budgets.get(row["intent"], _NO_BUDGET),
                "segments": segments.get(place, []),
                "state": _state(newest.get(place), seen.get(place), objective, breached).value,
            }
        )
    return rows + _further(tx, [key for key in keys if key.indicator != HALLUCINATION], stored, breached)


def standing(tx: Transaction) -> dict[Place, str]:
    """Whether each deployment of an intent has traffic, and which is the newest, in words.

    As incidents see it: live is what had a request in the last 24 hours of event time.
    """
    rows = tx.rows("traffic_of_cells", since=0)
    now = max((row["last_at"] for row in rows), default=0)
    newest: dict[str, Row] = {}
    for row in rows:
        newest[row["intent"]] = max(newest.get(row["intent"], row), row, key=lambda one: int(one["first_at"]))
    return {
        (row["intent"], row["deployment"]): ("live" if now - row["last_at"] < DAY else "gone")
        + (", newest" if newest[row["intent"]]["deployment"] == row["deployment"] else "")
        for row in rows
    }


def _further(
    tx: Transaction, keys: Sequence[TestKey], stored: Mapping[Place, StoredObjective], breached: set[str]
) -> list[dict[str, Any]]:
    """Rows of other judged indicators: the newest episode of each deployment. Their budgets are not kept."""
    newest = {(key.indicator, key.intent, key.deployment): key for key in keys}
    known = evidence.deployments(tx, sorted({key.deployment for key in keys}))
    rows = []
    for key in newest.values():
        objective, seen = stored[key.indicator, key.intent], _shown(tx, key, stored)
        row = _row({"intent": key.intent, "last_at": key.last_at}, key, seen, objective.theta0)
        rows.append(
            row
            | {
                "indicator": key.indicator,
                "deployment": deployment_fields(key.deployment, known),
                **_NO_BUDGET,
                "segments": [],
                "state": _state(key, seen, objective, breached).value,
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
    if seen.rate.unknown:
        return SloState.UNKNOWN
    # An interval of this one look is no proof, but what lies wholly above its objective is not said to be in order.
    return SloState.EVIDENCE_WANTED if seen.rate.lo > objective.theta0 else SloState.OK


def _budgets(
    tx: Transaction, stored: Mapping[Place, StoredObjective], slo_of: SloOf | None, intents: list[str]
) -> dict[str, dict[str, Any]]:
    """The budget of every intent of which an objective was stored, over its deployments."""
    newest = tx.value("newest_traffic")
    experiments = {row["intent"] for row in tx.rows("intents_with_experiments")}
    found = {}
    for intent in intents if newest is not None else ():
        objective = stored.get((HALLUCINATION, intent))
        if objective is not None:
            slo = _slo(slo_of, intent, objective)
            budget = judged_budget(tx, slo, objective, newest, intent in experiments)
            found[intent] = budget_fields(budget)
    return found


def _segments(
    tx: Transaction, stored: Mapping[Place, StoredObjective], slo_of: SloOf | None, intents: set[str]
) -> dict[Place, list[dict[str, Any]]]:
    """Rates by cohort and experiment, where experiments ran: a deployment's own rate is over all of its traffic."""
    newest = tx.value("newest_traffic")
    found: dict[Place, list[dict[str, Any]]] = {}
    for intent in sorted(row["intent"] for row in tx.rows("intents_with_experiments") if row["intent"] in intents):
        objective = stored.get((HALLUCINATION, intent))
        if objective is not None:
            slo = _slo(slo_of, intent, objective)
            parts = deployment_segments(tx, slo, objective.false_positive_rate, newest)
            found |= {(intent, name): [_segment(*part) for part in rows] for name, rows in parts.items()}
    return found


def _segment(segment: Segment, requests: float, rate: Estimate) -> dict[str, Any]:
    names = {"cohort": segment[0], "experiment": segment[1], "requests": round(requests)}
    return {**names, "rate": rate.est, "low": rate.lo, "high": rate.hi}


def _slo(slo_of: SloOf | None, intent: str, objective: StoredObjective) -> Slo:
    wanted = slo_of(HALLUCINATION, intent) if slo_of else None
    return wanted or Slo(name=intent, intent=intent, allowed=objective.theta0)


def budget_fields(budget: Budget) -> dict[str, Any]:
    """What the rows of an intent say of its budget."""
    return {
        "budget_used": budget.used.est,
        "budget_low": budget.used.lo,
        "budget_high": budget.used.hi,
        "burn_rate": budget.burn_rate,
        "burning": [level.burn for level in budget.burning if level.proven],
        "exhausted_on": exhausted_on(budget.as_of, budget.days_left),
    }


_NO_BUDGET: Mapping[str, Any] = {
    **dict.fromkeys(("budget_used", "budget_high", "burn_rate", "exhausted_on")),
    "budget_low": 0.0,
    "burning": [],
}
