"""The verdict of an intent and deployment as one function and one JSON shape, for Argo Rollouts, Flagger and scripts.

Argo's web provider reads `phase` by a JSONPath and knows the three words; see docs/metrics.md.
"""

from typing import Any, Literal

from tidegauge.domain import HALLUCINATION, SloState
from tidegauge.service.incidents import deployment_fields
from tidegauge.service.report import SloOf, slo_rows
from tidegauge.storage import evidence
from tidegauge.storage.store import Transaction

Phase = Literal["successful", "failed", "inconclusive"]

FEWEST_LABELS = 20
"""Fewer labels say too little to call a deployment good."""


def verdict(tx: Transaction, slo_of: SloOf, intent: str, deployment: str | None = None) -> dict[str, Any]:
    """What is known of a deployment, by default the newest one of the intent.

    `failed`: its rate is proven to be above the objective, or as a canary it is worse than its control. `successful`:
    it is known, from at least 20 labels, and at or below the objective; `proven` tells whether its upper limit is, too.
    Else, an intent or deployment that nobody saw included: `inconclusive`.
    """
    deployment = deployment or tx.value("newest_deployment", intent=intent)
    rows = [
        row
        for row in slo_rows(tx, _theta0_of(slo_of, intent), slo_of, only=intent)
        if row["deployment"]["id"] == deployment
    ]
    if not rows or deployment is None:
        return _unseen(tx, intent, deployment)
    # Whatever is proven to be bad fails it; else hallucinations speak for it.
    row = min(rows, key=lambda r: (r["state"] != SloState.BREACH, r["indicator"] != HALLUCINATION))
    canary = tx.value("breached_canary", intent=intent, deployment=deployment)
    phase, reason = ("failed", f"canary {canary} is worse than its control") if canary else _phase(row)
    names = ("indicator", "intent", "deployment", "objective", "rate", "low", "high", "judged", "labelled", "log_e")
    proven = phase == "failed" or (phase == "successful" and row["high"] <= row["objective"])
    return {
        "phase": phase,
        "reason": reason,
        "proven": proven,
        **{name: row[name] for name in (*names, "budget_used", "state", "as_of")},
    }


def _theta0_of(slo_of: SloOf, intent: str) -> dict[str, float]:
    slo = slo_of(HALLUCINATION, intent)
    return {intent: slo.allowed} if slo else {}


def _phase(row: dict[str, Any]) -> tuple[Phase, str]:
    objective = f"{100 * row['objective']:g} %"
    if row["state"] == SloState.BREACH:
        return "failed", f"proven to be above {objective}"
    if row["state"] == SloState.EVIDENCE_WANTED:
        return "inconclusive", "much is flagged and labels are missing"
    if row["rate"] is None:
        return "inconclusive", "nothing is labelled yet"
    if row["labelled"] < FEWEST_LABELS:
        return "inconclusive", f"{row['labelled']} labels, {FEWEST_LABELS} are needed"
    if row["rate"] > row["objective"]:
        return "inconclusive", f"{100 * row['rate']:.1f} %, above {objective}, but not proven"
    return "successful", f"{100 * row['rate']:.1f} %, at most {objective}"


def _unseen(tx: Transaction, intent: str, deployment: str | None) -> dict[str, Any]:
    known = deployment is not None and deployment in evidence.deployments(tx, [deployment])
    fields = deployment_fields(deployment, evidence.deployments(tx, [deployment])) if known and deployment else None
    empty = dict.fromkeys(("objective", "rate", "budget_used", "as_of"))
    return {
        "phase": "inconclusive",
        "reason": "no traffic of this deployment" if deployment else "no traffic of this intent",
        "proven": False,
        "indicator": HALLUCINATION,
        "intent": intent,
        "deployment": fields or {"id": deployment},
        **empty,
        "low": 0.0,
        "high": 1.0,
        "judged": 0,
        "labelled": 0,
        "log_e": 0.0,
        "state": SloState.UNKNOWN.value,
    }
