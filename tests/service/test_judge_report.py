"""What is said of judges, on labels of known truth."""

import random
from typing import Any

import pytest

from evaluators.heuristics import Overlap
from tidegauge.service.judge_report import judge_report

OVERLAP = Overlap()


def labelled(n: int, seed: int = 1) -> list[dict[str, Any]]:
    """P(hallucinated | score) is the score squared; the suspicious are reviewed four times as often."""
    rng, rows = random.Random(seed), []
    while len(rows) < n:
        score = rng.random()
        pi = 0.8 if score >= 0.5 else 0.2
        if rng.random() < pi:
            rows.append(
                {
                    "request_id": f"r-{len(rows)}",
                    "intent": rng.choice(["a", "b"]),
                    "evaluator": OVERLAP.name,
                    "version": OVERLAP.version,
                    "content_hash": OVERLAP.content_hash,
                    "score": score,
                    "label": "hallucinated" if score >= 0.5 else "faithful",
                    "y": int(rng.random() < score**2),
                    "pi": pi,
                    "event_block": len(rows) // 100,
                }
            )
    return rows


def test_a_line_for_all_intents_and_one_for_each() -> None:
    report = judge_report(labelled(4_000), {OVERLAP.content_hash: OVERLAP}, 0.03)
    assert [line.row["intent"] for line in report] == ["*", "a", "b"]
    assert report[0].row["labelled"] == 4_000
    whole = report[0].row
    assert whole["sensitivity"]["estimate"] == pytest.approx(7 / 8, abs=0.04)
    assert whole["specificity"]["estimate"] == pytest.approx((1 / 2 - 1 / 24) / (1 - 1 / 3), abs=0.04)
    assert whole["kappa"]["low"] < whole["kappa"]["estimate"] < whole["kappa"]["high"]


def test_calibration_is_measured_forward_and_helps() -> None:
    whole = judge_report(labelled(4_000), {OVERLAP.content_hash: OVERLAP}, 0.03)[0]
    assert whole.row["calibration_error"] > 0.1
    assert whole.row["calibration_error_calibrated"] < 0.05
    assert whole.reliability is not None
    assert len(whole.reliability.truth) == 2_000


def test_of_an_evaluator_that_is_configured_no_more_the_agreement_is_still_told() -> None:
    report = judge_report(labelled(100), {}, 0.03)
    assert report[0].row["calibration_error_calibrated"] is None
    assert report[0].reliability is None
    assert report[0].row["sensitivity"]["estimate"] is not None


def test_no_labels_no_lines() -> None:
    assert judge_report([], {}, 0.03) == []
