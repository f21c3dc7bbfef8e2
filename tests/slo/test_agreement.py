"""Agreement with people, on data of known truth."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo.agreement import Judged, agreement, calibration_bins, calibration_error


def judged(n: int, seed: int, biased: bool) -> list[Judged]:
    """A judge of sensitivity .8 and specificity .9 at 10 % positives; `biased`: the flagged are reviewed more."""
    rng = random.Random(seed)
    found = []
    while len(found) < n:
        y = rng.random() < 0.1
        flagged = rng.random() < (0.8 if y else 0.1)
        pi = 0.8 if biased and flagged else 0.1
        if rng.random() < pi:
            found.append(Judged(flagged, y, 1 / pi))
    return found


@pytest.mark.parametrize("biased", [False, True])
def test_weights_undo_the_choice_of_what_was_reviewed(biased: bool) -> None:
    found = agreement(judged(20_000, 1, biased))
    assert found.sensitivity.est == pytest.approx(0.8, abs=0.03)
    assert found.specificity.est == pytest.approx(0.9, abs=0.01)


def test_intervals_hold_the_truth() -> None:
    hits = [0, 0]
    for seed in range(100):
        found = agreement(judged(300, seed, biased=True), seed)
        hits[0] += found.sensitivity.lo <= 0.8 <= found.sensitivity.hi
        hits[1] += found.kappa.lo <= 0.5349 <= found.kappa.hi
    assert min(hits) >= 88


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([1.0, 10 / 3, 7.1, 1e-3, 1e6])), max_size=30),
    st.sampled_from([1.0, 0.1, 1 / 3]),
)
def test_intervals_are_within_their_bounds_and_hold_their_estimate(items: list[tuple[bool, bool, float]], by: float):
    found = agreement([Judged(flagged, y, weight * by) for flagged, y, weight in items])
    for share in (found.sensitivity, found.specificity):
        assert 0 <= share.lo <= (share.lo if share.est is None else share.est) <= share.hi <= 1
    assert -1 <= found.kappa.lo <= found.kappa.hi <= 1 + 1e-9


def test_a_judge_that_is_always_right_is_known_to_be() -> None:
    """Sums of many weights, in two orders, are not quite the same."""
    rng = random.Random(0)
    for _ in range(200):
        weights = [1 / rng.random() for _ in range(rng.randrange(2, 300))]
        share = agreement([Judged(True, True, weight) for weight in weights]).sensitivity
        assert share.est == share.hi == 1
        assert 0 < share.lo < 1


def test_a_kappa_of_few_items_that_all_agree_is_not_certain() -> None:
    few, many = (agreement([Judged(y, y) for y in (True, False)] * half).kappa for half in (3, 100))
    assert few.est == few.hi == many.est == many.hi == 1
    assert few.lo == pytest.approx(2 * 0.025 ** (1 / 6) - 1)  # six of six, at a chance agreement of a half
    assert 0.95 < many.lo < 1


def test_intervals_of_kappa_hold_the_truth_near_one() -> None:
    rng, missed = random.Random(3), 0
    for _ in range(200):
        truths = [rng.random() < 0.5 for _ in range(40)]
        found = agreement([Judged(y != (rng.random() < 0.025), y) for y in truths]).kappa
        missed += not found.lo <= 0.95 <= found.hi
    assert missed <= 0.1 * 200


def test_nothing_labelled_is_unknown() -> None:
    found = agreement([])
    assert found.sensitivity.est is found.specificity.est is found.kappa.est is None
    only_good = agreement([Judged(False, False)] * 5)
    assert (only_good.sensitivity.est, only_good.kappa.est) == (None, None)
    assert only_good.specificity.est == 1.0


def test_a_calibrated_score_has_no_error_and_a_boastful_one_has() -> None:
    rng = random.Random(2)
    p = [rng.random() for _ in range(20_000)]
    y = [rng.random() < x for x in p]
    ones = [1.0] * len(p)
    assert calibration_error(p, y, ones) == pytest.approx(0.0, abs=0.02)
    boastful = [1.0 if x >= 0.5 else 0.0 for x in p]
    assert calibration_error(boastful, y, ones) == pytest.approx(0.25, abs=0.02)
    found = calibration_bins(p, y, ones)
    assert [b.items > 0 for b in found] == [True] * 10
    assert all(abs(b.predicted - b.share) < 0.05 for b in found)
    assert calibration_error([], [], []) is None
