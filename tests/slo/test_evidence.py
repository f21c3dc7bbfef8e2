"""Properties of the test's pure functions and of the detector over them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slo.simulator import World, month, replay
from tidegauge.slo import BETS, Detector, Rule, clip_f, estimate_of, item_terms, log_evidence, make_detector, terms_of
from tidegauge.slo.rates import RateSums, rate_terms

RULE = Rule(0.03)

shares = st.floats(0, 1)
items = st.lists(
    st.tuples(
        st.floats(0, 12),  # t
        shares,  # f
        st.floats(0.02, 1),  # pi
        st.booleans(),  # reviewed
        st.sampled_from((0, 1, None)),  # label; None: has not come
        st.floats(0.01, 0.05),  # pi1
        st.integers(0, 8),
    ),
    max_size=40,
)


def fed(rows, start=0, order=None, pi_ref=0.01, looks=()):
    detector = make_detector({"theta0": 0.03, "alpha": 0.001, "pi_ref": pi_ref})
    for number, (t, f, pi, reviewed, _, pi1, bin_) in enumerate(rows, start):
        detector.judged(number, t, f, pi, reviewed, pi1, bin_)
        if number in looks:
            detector.decide(t)
    labelled = [n for n, row in enumerate(rows) if row[4] is not None]
    for n in labelled if order is None else order(labelled):
        detector.label(n + start, rows[n][4])
    return detector


def same(a: Detector, b: Detector) -> None:
    assert a.decide(12)["log_e"] == pytest.approx(b.decide(12)["log_e"], abs=1e-9)
    assert a.decide(12)["rollback"] == b.decide(12)["rollback"]
    assert a.estimate() == pytest.approx(b.estimate(), abs=1e-7)


@given(shares, shares, st.booleans(), st.integers(0, 1))
def test_z_is_never_below_minus_b(f, pi, reviewed, y):
    reviewed = reviewed and pi > 0
    clipped = clip_f(f, pi, 0.5)
    assert 0 <= clipped <= f
    z = estimate_of(clipped, pi, reviewed, y) if not reviewed or pi > 1e-9 else 0
    assert z >= -0.5 - 1e-9


@given(shares, st.floats(0.01, 1), shares)
def test_z_is_unbiased_whatever_the_judge_says(f, pi, rate):
    f = clip_f(f, pi)
    mean = sum(
        weight * estimate_of(f, pi, reviewed, y)
        for reviewed, y, weight in ((True, 1, pi * rate), (True, 0, pi * (1 - rate)), (False, 0, 1 - pi))
    )
    assert mean == pytest.approx(rate, abs=1e-9)


@given(items)
def test_vectorised_terms_equal_the_scalar_ones(rows):
    z = [estimate_of(clip_f(f, pi), pi, reviewed, y or 0) for _, f, pi, reviewed, y, _, _ in rows]
    scalar = [item_terms(RULE, clip_f(f, pi), pi, reviewed, y or 0) for _, f, pi, reviewed, y, _, _ in rows]
    assert terms_of(RULE, np.array(z)) == pytest.approx(np.array(scalar).reshape(-1, BETS))


@given(items, items)
def test_merging_shards_is_concatenation(left, right):
    merged = fed(left)
    merged.merge(fed(right, start=len(left)))
    same(merged, fed(left + right))


@given(items, st.randoms())
def test_the_order_of_labels_is_irrelevant(rows, random):
    same(fed(rows), fed(rows, order=lambda labelled: random.sample(labelled, len(labelled))))


@given(items, st.sets(st.integers(0, 40)))
def test_incremental_equals_recomputed(rows, looks):
    detector = fed(rows, looks=looks)
    sums = detector.sums.evidence
    expected = log_evidence(RULE, sums, min(sums), 48)[1] if sums else -math.inf
    assert detector.decide(12)["log_e"] == pytest.approx(expected, abs=1e-9)


@given(items)
def test_a_correction_leaves_no_trace(rows):
    twice = fed(rows)
    for number, row in enumerate(rows):
        if row[4] is not None:
            twice.label(number, 1 - row[4])
            twice.label(number, row[4])
    same(twice, fed(rows))


@given(items)
def test_evidence_grows_with_positives(rows):
    negative = fed([(*row[:4], 0, *row[5:]) for row in rows])
    log_e = negative.decide(12)["log_e"]
    for number, row in enumerate(rows):
        negative.label(number, 1)
        after = negative.decide(12)["log_e"]
        assert after >= log_e - 1e-9 if row[3] else after == log_e
        log_e = after


def test_evidence_matches_its_definition():
    rng = np.random.default_rng(5)
    sums = {block: rng.normal(0, 1, BETS).tolist() for block in (3, 4, 7)}
    total = np.cumsum([sums.get(block, [0.0] * BETS) for block in range(3, 9)], axis=0)
    weights = [0.5] + [0.5 / 112] * 5
    expected = []
    for c in range(6):
        before = np.vstack([np.zeros(BETS), total])
        m = sum(weights[j] * np.exp(total[c] - before[j]) for j in range(c + 1))
        expected.append(math.log(m.mean()))
    series, top = log_evidence(RULE, sums, 3, 8)
    assert series == pytest.approx(expected)
    assert top == pytest.approx(max(expected))
    assert log_evidence(RULE, sums, 3, 2) == (pytest.approx([]), -math.inf)


def test_a_label_goes_to_the_block_of_its_item():
    detector = fed([(0.1, 0.1, 0.5, True, None, 1, 0), (5.0, 0.1, 0.5, True, None, 1, 0)], pi_ref=1)
    detector.decide(9)
    detector.label(0, 1)
    assert detector.sums.positives == {0: 1}
    assert set(detector.sums.evidence) == {0, 20}


def test_a_late_record_goes_to_the_newest_block_that_was_read():
    detector = fed([(0.1, 0.1, 0.5, True, None, 1, 0)], pi_ref=1)
    detector.decide(5.1)
    detector.judged("late", 1.0, 0.1, 0.5, True)
    assert set(detector.sums.evidence) == {0, 20}


def test_volunteered_labels_count_for_nothing():
    detector = fed([(0.1, 0.1, 0.5, False, None, 1, 0)], pi_ref=1)
    before = detector.decide(1)
    detector.label(0, 1)
    assert detector.decide(1) == before
    assert detector.estimate() == {"est": None, "lo": 0, "hi": 1}
    with pytest.raises(KeyError):
        detector.label("nobody", 1)


def test_four_positives_are_not_enough():
    detector = make_detector({"theta0": 0.03, "alpha": 0.001})
    for number in range(5):
        detector.judged(number, 0, 0.03, 0.1, True)
    for number in range(4):
        detector.label(number, 1)
    assert detector.decide(0)["log_e"] > math.log(1000)
    assert not detector.decide(0)["rollback"]
    detector.label(4, 1)
    assert detector.decide(0)["rollback"]


def test_known_label_noise_moves_what_is_tested():
    assert Rule(0.01, false_positive_rate=0.03).tested == pytest.approx(0.0397)


@pytest.mark.parametrize("wrong", [{"theta0": 0}, {"theta0": 1}, {"theta0": 0.03, "alpha": 0}, {"theta0": 0.1, "b": 0}])
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="theta0"):
        make_detector(wrong)


@given(items)
def test_merge_refuses_what_it_would_count_twice(rows):
    detector = fed(rows)
    if rows:
        with pytest.raises(ValueError, match="distinct"):
            detector.merge(fed(rows))


@given(items)
@settings(max_examples=30)
def test_rate_sums_are_the_sum_of_their_items(rows):
    detector = fed(rows)
    for bin_, sums in detector.sums.rates.items():
        parts = [
            rate_terms(clip_f(f, pi), pi, reviewed, y is not None, y or 0, pi1=pi1)
            for _, f, pi, reviewed, y, pi1, b in rows
            if b == bin_
        ]
        assert sums == pytest.approx([sum(column) for column in zip(*parts, strict=True)], rel=1e-6, abs=1e-5)
        assert len(sums) == len(RateSums())


def test_the_simulator_and_the_detector_agree():
    made = month(World(rate=0.05, days=10), RULE, np.random.default_rng(1))
    ends = np.flatnonzero(np.diff(made.block, append=-1))
    detector = replay(made, RULE)
    assert detector.decide(9.9)["log_e"] == pytest.approx(made.log_e[ends].max())


def test_the_test_is_a_supermartingale_at_the_objective():
    """The mean factor over every label and coin is at most 1 at theta0, for each bet."""
    for f, pi in ((0.0, 0.1), (0.03, 0.5), (0.4, 1.0), (0.2, 0.03)):
        g = clip_f(f, pi)
        outcomes = ((True, 1, pi * 0.03), (True, 0, pi * 0.97), (False, 0, 1 - pi))
        factors = np.array([np.exp(item_terms(RULE, g, pi, r, y, u=0.7)) * weight for r, y, weight in outcomes])
        assert (factors.sum(axis=0) <= 1 + 1e-12).all()
        assert all(a < b for a, b in pairwise(RULE.lambdas))
