"""A judge's answers to known cases: when they have become worse, and how sure their shares are."""

from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from tidegauge.service.interlock import ALPHA
from tidegauge.slo.drift import STEP, _log_weight, _pairs, rise_evidence, share_interval

THRESHOLD = log(2 / ALPHA)
HEALTHY = 400
"""Answers of a class before the change, in what is promised."""

WITHIN = 300
"""Answers of the class after a change by 0.3, within which it is found."""


@pytest.mark.parametrize(("before", "after"), [(0.25, 0.55), (0.05, 0.35)])
def test_200_drifts_are_found_within_what_is_promised(before: float, after: float) -> None:
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(100):
        errors = np.concatenate([rng.random(HEALTHY) < before, rng.random(WITHIN) < after]).astype(np.int64)
        series = rise_evidence(errors)
        assert series[HEALTHY - 1] < THRESHOLD
        found += bool(series[-1] >= THRESHOLD)
    assert found >= 95


@pytest.mark.parametrize("share", [0.02, 0.25, 0.6])
def test_1000_months_without_drift_trip_at_most_once(share: float) -> None:
    rng = np.random.default_rng(8)
    # 40 answers a day, half of them of the class: a month is 600 of it.
    trips = sum(rise_evidence((rng.random(600) < share).astype(np.int64))[-1] >= THRESHOLD for _ in range(334))
    assert trips <= 1


def test_a_judge_that_becomes_better_is_no_drift() -> None:
    rng = np.random.default_rng(9)
    better = np.concatenate([rng.random(400) < 0.4, rng.random(400) < 0.1]).astype(np.int64)
    assert rise_evidence(better)[-1] < THRESHOLD


@given(st.lists(st.integers(0, 1), max_size=60))
def test_evidence_never_falls_and_looks_only_back(observed: list[int]) -> None:
    series = rise_evidence(observed)
    assert series.shape == (len(observed),)
    assert (np.diff(series) >= 0).all()
    if observed:
        np.testing.assert_allclose(rise_evidence(observed[:-1]), series[:-1])


def said_plainly(observed: list[int]) -> list[float]:
    """The evidence as it is defined, without a thought of what it takes."""
    before, after = _pairs()
    found, highest = [], -inf
    for n in range(1, len(observed) + 1):
        ones = sum(observed[:n])
        terms = []
        for pair in range(before.shape[1]):
            for start in range(0, n, STEP):
                early = sum(before[x, pair] for x in observed[:start])
                late = sum(after[x, pair] for x in observed[start:n])
                terms.append(_log_weight(start // STEP + 1) + early + late)
        best = sum(k * log(k / n) for k in (ones, n - ones) if k)
        highest = max(highest, float(logsumexp(terms)) - log(before.shape[1]) - best)
        found.append(highest)
    return found


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_evidence_is_what_its_definition_says(observed: list[int]) -> None:
    np.testing.assert_allclose(rise_evidence(observed), said_plainly(observed), atol=1e-9)


@settings(deadline=None)  # the first one waits for an import
@given(st.integers(0, 400), st.integers(0, 400))
def test_intervals_hold_their_estimate_and_turn_with_the_class(ones: int, zeros: int) -> None:
    found = share_interval(ones, ones + zeros)
    assert 0 <= found.lo <= (found.est if found.est is not None else 0.5) <= found.hi <= 1
    other = share_interval(zeros, ones + zeros)
    assert found.lo == pytest.approx(1 - other.hi, abs=1e-6)


def test_intervals_hold_at_all_looks_together() -> None:
    rng = np.random.default_rng(10)
    missed = 0
    for _ in range(300):
        ones = np.cumsum(rng.random(300) < 0.2)
        intervals = [share_interval(int(ones[n - 1]), n) for n in range(5, 301, 5)]
        missed += any(not i.lo <= 0.2 <= i.hi for i in intervals)
    assert missed <= 0.05 * 300
