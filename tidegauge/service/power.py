"""What the store knows of each intent that its delays depend on."""

from collections.abc import Callable

from tidegauge.domain import DAY, HALLUCINATION, Objective, Value
from tidegauge.slo.power import Situation
from tidegauge.storage.store import Row, Transaction

SENSITIVITY, SPECIFICITY = 0.75, 0.95
"""Assumed of a judge that nothing is known of."""

_WEEK_BLOCKS = 28
_MONTH_BLOCKS = 112
_WORTH = 20.0
"""Labels of either kind that the assumption is worth."""


class Known(Value, frozen=True, kw_only=True):
    """One intent's traffic and judge. `labelled` positives and negatives are what the judge's figures rest on."""

    intent: str
    situation: Situation
    deployments: float
    """Begun within 28 days."""
    positives: int
    negatives: int


def known(tx: Transaction, objective_of: Callable[[str], Objective], base: float | None = None) -> list[Known]:
    """Every intent with traffic in the trailing seven event days."""
    begun = {row["intent"]: int(row["begun"]) for row in tx.rows("deployments_begun", blocks=_MONTH_BLOCKS)}
    judged: dict[str, list[Row]] = {}
    for row in tx.rows("judge_against_people", indicator=HALLUCINATION):
        judged.setdefault(row["intent"], []).append(row)
    return [
        _known(row, objective_of(row["intent"]), begun.get(row["intent"], 0), judged.get(row["intent"], []), base)
        for row in tx.rows("traffic_by_intent", blocks=_WEEK_BLOCKS)
    ]


def _known(row: Row, objective: Objective, begun: int, labels: list[Row], base: float | None) -> Known:
    days = max((int(row["last_at"]) - int(row["first_at"])) / DAY, 1.0)
    sensitivity, positives = _share(labels, y=1, flagged=1, assumed=SENSITIVITY)
    specificity, negatives = _share(labels, y=0, flagged=0, assumed=SPECIFICITY)
    situation = Situation(
        requests=int(row["requests"]) / days,
        judged=max(int(row["sampled"]) / days, 1.0),
        labels=objective.labels_per_day,
        sensitivity=sensitivity,
        specificity=specificity,
        theta0=objective.theta0,
        base=base,
        alpha=objective.alpha,
    )
    return Known(
        intent=row["intent"],
        situation=situation,
        deployments=max(begun, 1),
        positives=positives,
        negatives=negatives,
    )


def _share(labels: list[Row], *, y: int, flagged: int, assumed: float) -> tuple[float, int]:
    """Weighted share of the answers with label y that the judge reads so, drawn to what is assumed; and their count."""
    rows = [row for row in labels if row["y"] == y]
    count = sum(int(row["labels"]) for row in rows)
    weight = sum(float(row["weight"]) for row in rows)
    own = sum(float(row["weight"]) for row in rows if row["flagged"] == flagged) / weight if weight else assumed
    return (own * count + assumed * _WORTH) / (count + _WORTH), count
