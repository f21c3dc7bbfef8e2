"""How far each judge can be trusted: its agreement with reviewers, and what its scores mean, raw and calibrated.

Only samples that were chosen for review count, each by 1/pi. The calibrated figures are forward: the curve is fitted on
the older half of the labels and measured on the newer one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tidegauge.domain import Evaluator, Value
from tidegauge.service.calibration import EVERYWHERE, fit
from tidegauge.slo.agreement import Judged, agreement, calibration_bins, calibration_error
from tidegauge.slo.rates import Estimate
from tidegauge.storage.store import Row


class Reliability(Value, frozen=True, kw_only=True):
    """What was predicted for the newer labels of one judge, and what was true."""

    raw: list[float]
    calibrated: list[float]
    truth: list[bool]
    weights: list[float]


class JudgeReport(Value, frozen=True, kw_only=True):
    """`row` is what is printed; `reliability` is what a diagram is drawn from, for the line over all intents."""

    row: dict[str, Any]
    reliability: Reliability | None = None


def judge_report(rows: Sequence[Row], evaluators: Mapping[str, Evaluator], theta0: float) -> list[JudgeReport]:
    """A line per evaluator and version over all intents (`*`), then one per intent.

    `rows` are those of `calibration.labelled_scores`; `evaluators` are the configured ones by content hash, of which
    alone the calibration is known.
    """
    by_judge: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_judge[row["evaluator"], row["version"], row["content_hash"]].append(row)
    found = []
    for (_, _, content_hash), mine in sorted(by_judge.items()):
        evaluator = evaluators.get(content_hash)
        reliability = _forward(mine, evaluator, theta0) if evaluator else None
        found.append(JudgeReport(row=_line(EVERYWHERE, mine, reliability), reliability=reliability))
        found += [
            JudgeReport(row=_line(intent, [row for row in mine if row["intent"] == intent], None))
            for intent in sorted({row["intent"] for row in mine})
        ]
    return found


def _line(intent: str, rows: Sequence[Row], reliability: Reliability | None) -> dict[str, Any]:
    said = [Judged(row["label"] == "hallucinated", bool(row["y"]), 1 / row["pi"]) for row in rows]
    agreed = agreement(said)
    truth, weights = [item.y for item in said], [item.weight for item in said]
    first = rows[0]
    line = {
        "evaluator": first["evaluator"],
        "version": first["version"],
        "intent": intent,
        "labelled": agreed.labelled,
        "positives": agreed.positives,
        "sensitivity": _shown(agreed.sensitivity),
        "specificity": _shown(agreed.specificity),
        "kappa": _shown(agreed.kappa),
        "calibration_error": calibration_error([row["score"] for row in rows], truth, weights),
        "calibration_error_calibrated": None,
    }
    if reliability:
        line |= {
            "calibration_error_calibrated": calibration_error(
                reliability.calibrated, reliability.truth, reliability.weights
            ),
            "reliability": {
                name: [b._asdict() for b in calibration_bins(values, reliability.truth, reliability.weights)]
                for name, values in (("raw", reliability.raw), ("calibrated", reliability.calibrated))
            },
        }
    return line


def _forward(rows: Sequence[Row], evaluator: Evaluator, theta0: float) -> Reliability | None:
    """The newer half of the labels under the calibration of the older half; None where a half is empty."""
    middle = len(rows) // 2
    curves = fit(rows[:middle], {evaluator.content_hash: evaluator}, theta0)
    if not curves:
        return None
    curve, newer = curves[evaluator.content_hash], rows[middle:]
    return Reliability(
        raw=[row["score"] for row in newer],
        calibrated=[curve.at(row["intent"], row["score"]) for row in newer],
        truth=[bool(row["y"]) for row in newer],
        weights=[1 / row["pi"] for row in newer],
    )


def _shown(value: Estimate) -> dict[str, float | None]:
    return {"estimate": value.est, "low": value.lo, "high": value.hi}
