"""When a cascade stops, and who stands in for whom."""

import asyncio

import msgspec
import pytest

from evaluators.cascade import Cascade, Step
from tests.evaluators.requests import REFUNDS, request_of
from tests.evaluators.scripted import Calibrated, Fixed, Remembered, Scripted, outcome
from tidegauge.domain import UNSCORED_BIN, Calibration, EvaluationState, Verdict

REQUEST = request_of("It takes 14 days.", REFUNDS)
PENDING = outcome(None, EvaluationState.PENDING)


def judged(cascade: Cascade) -> Verdict:
    begun = cascade.begin(REQUEST)
    return begun.verdict or asyncio.run(cascade.finish(REQUEST, begun))


def tiers(
    heuristic: float, *judges: Scripted, calibration: Calibration | None = None, cache: Remembered | None = None
) -> Cascade:
    """A heuristic that may stop outside .1 to .9, then judges that may too."""
    steps = [Step(evaluator=judge, stop_below=0.1, stop_above=0.9) for judge in judges]
    first = Step(evaluator=Fixed("heuristic", heuristic), stop_below=0.1, stop_above=0.9)
    return Cascade([first], steps, calibration=calibration or Calibrated(), cache=cache)


@pytest.mark.parametrize(("score", "asked"), [(0.1, 0), (0.11, 1), (0.5, 1), (0.89, 1), (0.9, 0)])
def test_a_step_stops_outside_its_band(score: float, asked: int) -> None:
    judge = Scripted("judge", outcome(0.7))
    verdict = judged(tiers(score, judge))
    assert judge.asked == asked
    assert verdict.decisive.evaluator == ("judge" if asked else "heuristic")
    assert verdict.why == ("last step" if asked else "outside the band")
    assert verdict.calibration == "test"


def test_which_heuristics_score_does_not_depend_on_labels() -> None:
    first = Step(evaluator=Fixed("first", 0.95), stop_below=0.1, stop_above=0.9)
    cascade = Cascade([first, Step(evaluator=Fixed("second", 0.2))], [], calibration=Calibrated())
    verdict = judged(cascade)
    assert [s.evaluator for s in verdict.scores] == ["first", "second"]
    assert (verdict.decisive.evaluator, verdict.why) == ("first", "outside the band")


def test_without_labels_nothing_stops_early() -> None:
    judge = Scripted("judge", outcome(0.7))
    heuristic = Fixed("heuristic", 0.01)
    assert judged(tiers(0.01, judge, calibration=Calibrated(heuristic.content_hash))).decisive.evaluator == "judge"


def test_a_small_judge_in_doubt_hands_on_to_a_large_one() -> None:
    small, large = Scripted("small", outcome(0.5), outcome(0.95)), Scripted("large", outcome(0.2))
    cascade = tiers(0.5, small, large)
    doubted, sure = judged(cascade), judged(cascade)
    assert (doubted.decisive.evaluator, doubted.why) == ("large", "last step")
    assert [s.evaluator for s in doubted.scores] == ["heuristic", "small", "large"]
    assert (sure.decisive.evaluator, sure.why) == ("small", "outside the band")
    assert large.asked == 1


def test_a_small_judge_that_is_down_is_stood_in_for_by_the_large_one() -> None:
    verdict = judged(tiers(0.5, Scripted("small", PENDING), Scripted("large", outcome(0.2))))
    assert (verdict.state, verdict.decisive.evaluator) == (EvaluationState.JUDGED, "large")


def test_a_large_judge_that_is_down_leaves_the_sample_pending() -> None:
    verdict = judged(tiers(0.5, Scripted("small", outcome(0.5)), Scripted("large", PENDING)))
    assert (verdict.state, verdict.bin) == (EvaluationState.PENDING, UNSCORED_BIN)


def test_a_spent_budget_keeps_the_cheaper_verdict_and_marks_it() -> None:
    spent = outcome(None, EvaluationState.UNSCORED, spent=True)
    verdict = judged(tiers(0.6, Scripted("judge", spent)))
    assert (verdict.state, verdict.decisive.evaluator, verdict.spent) == (EvaluationState.JUDGED, "heuristic", True)
    assert verdict.why == "budget spent"
    assert verdict.bin == 4
    after_small = judged(tiers(0.6, Scripted("small", outcome(0.3)), Scripted("large", spent)))
    assert (after_small.decisive.evaluator, after_small.bin, after_small.spent) == ("small", 2, True)


def test_a_sample_that_is_spared_its_judge_says_so() -> None:
    judge = Scripted("judge", outcome(0.7))
    cascade = tiers(0.6, judge)
    verdict = cascade.spare(REQUEST, cascade.begin(REQUEST)).verdict
    assert verdict is not None
    assert (verdict.decisive.evaluator, verdict.why, verdict.spent, judge.asked) == ("heuristic", "shed", True, 0)


def test_what_was_answered_before_is_not_asked_again() -> None:
    judge = Scripted("judge", outcome(0.7))
    known = msgspec.structs.replace(
        outcome(0.3).score, evaluator="judge", content_hash=judge.content_hash, answered_by="cache", usage=None
    )
    verdict = judged(tiers(0.5, judge, cache=Remembered(known)))
    assert judge.asked == 0
    assert (verdict.decisive.score, verdict.decisive.answered_by) == (0.3, "cache")


def test_the_content_decides_what_is_the_same() -> None:
    cascade = tiers(0.5, Scripted("judge", outcome(0.7)))
    same = request_of("It takes 14 days.", REFUNDS, name="r-2")
    others = [request_of("It takes 15 days.", REFUNDS), request_of("It takes 14 days.", REFUNDS, question="When?")]
    assert cascade.begin(REQUEST).content == cascade.begin(same).content
    assert len({cascade.begin(r).content for r in (REQUEST, *others)}) == 3
