"""Where labels are spent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo.policy import calibrated, calibrated_within, decayed, review_probability, review_rate, solve_k

bins = st.lists(st.tuples(st.floats(0.001, 0.9), st.floats(0.01, 1)), min_size=1, max_size=9)


@given(bins, st.floats(0.001, 0.999))
def test_the_budget_is_spent_and_every_item_keeps_an_audit_chance(rows, r):
    f = [row[0] for row in rows]
    total = sum(row[1] for row in rows)
    shares = [row[1] / total for row in rows]
    k = solve_k(f, shares, r)
    pi = [review_probability(k, value, r) for value in f]
    assert sum(s * p for s, p in zip(shares, pi, strict=True)) == pytest.approx(r, rel=1e-6)
    assert all(0.3 * r <= p <= 1 for p in pi)


def test_before_anything_is_known_everybody_has_the_same_chance():
    k = solve_k([0.03] * 9, [0.0] * 9, 0.1)
    assert review_probability(k, 0.03, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(("r", "pi"), [(0.0, 0.0), (1.0, 1.0)])
def test_all_or_nothing(r, pi):
    assert review_probability(solve_k([0.1, 0.2], [0.5, 0.5], r), 0.1, r) == pi


def test_a_bin_without_labels_falls_back_step_by_step():
    assert calibrated_within((0, 0), (0, 0), 0.03) == pytest.approx(0.03)
    assert calibrated_within((0, 0), (8, 8), 0.03) == pytest.approx(calibrated(8, 8, 0.03))
    assert calibrated(1, 2, 0.5) == 0.5


def test_labels_fade_by_blocks():
    assert decayed({10: 4.0, 12: 1.0}, 12) == pytest.approx(4 * 0.995**2 + 1)


@pytest.mark.parametrize(("labels", "judged", "r"), [(20, 200, 0.1), (20, 10, 1.0), (0, 10, 0.0), (20, 0, 1.0)])
def test_review_rate(labels, judged, r):
    assert review_rate(labels, judged) == r
