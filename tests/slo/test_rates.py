"""The rate shown to people."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from tidegauge.slo import UNKNOWN, RateSums, estimate, rate_terms
from tidegauge.slo.rates import wilson_upper


def sums(n, labelled, positives, f=0.0, pi=1.0, *, reviewed=None, pi1=1.0):
    """A stratum of n items of which some were reviewed, came back, were positive."""
    reviewed = labelled if reviewed is None else reviewed
    total = RateSums()
    for i in range(n):
        total = total.plus(rate_terms(f, pi, i < reviewed, i < labelled, int(i < positives), pi1=pi1))
    return total


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.floats(0, 1), st.floats(0.05, 1)),
        min_size=1,
        max_size=5,
    ),
    st.floats(0, 0.2),
)
def test_intervals_lie_in_the_unit_interval_and_contain_the_estimate(strata, e):
    parts = [sums(n, min(a, n), min(a, b, n), f, pi) for n, a, b, f, pi in strata]
    found = estimate(parts, e)
    if sum(part.returned for part in parts) == 0:
        assert found == UNKNOWN
    else:
        assert 0 <= found.lo <= found.est <= found.hi <= 1


def test_nothing_reviewed_is_unknown_and_never_zero():
    assert estimate([sums(100, 0, 0, f=0.01, pi=0.5)]) == UNKNOWN
    assert estimate([]) == UNKNOWN
    assert UNKNOWN.unknown


def test_everything_labelled_is_clopper_pearson_below_and_above():
    found = estimate([sums(200, 200, 10)])
    assert found.est == pytest.approx(0.05)
    assert found.lo == pytest.approx(beta.ppf(0.025, 10, 191), rel=1e-6)
    assert found.hi == pytest.approx(beta.ppf(0.975, 11, 190), rel=1e-6)


def test_no_positive_among_n_labels_is_about_the_rule_of_three():
    found = estimate([sums(100, 100, 0)])
    assert found.est == 0
    assert found.lo == 0
    assert 0.03 < found.hi < 0.06


def test_the_sampling_probability_alone_changes_nothing():
    a, b = estimate([sums(50, 50, 6)]), estimate([sums(50, 50, 6, pi1=0.02)])
    assert b == pytest.approx(a)


def test_unreturned_reviews_are_read_as_fewer_reviews():
    half = estimate([sums(100, 50, 5, pi=1.0, reviewed=100, f=0.0)])
    assert half.est == pytest.approx(0.1)


def test_an_item_without_a_chance_of_review_has_no_weight():
    with_blind = [sums(100, 100, 5).plus(rate_terms(0, 0, False, False, 0))]
    assert estimate(with_blind).est == pytest.approx(0.05)


def test_labels_of_changing_review_probability_count_as_fewer():
    def reviewed(pi, labels):
        known = RateSums()
        for _ in range(labels):
            known = known.plus(rate_terms(0.01, pi, True, True, 0))
        for _ in range(round(labels / pi) - labels):
            known = known.plus(rate_terms(0.01, pi, False, False, 0))
        return known

    even = estimate([reviewed(0.1, 100)])
    uneven = estimate([reviewed(0.5, 80).plus(reviewed(0.025, 20))])
    assert uneven.hi > 1.5 * even.hi


def test_label_noise_is_taken_off():
    plain, corrected = estimate([sums(200, 200, 16)]), estimate([sums(200, 200, 16)], 0.03)
    assert corrected.est == pytest.approx((plain.est - 0.03) / 0.97)
    assert estimate([sums(200, 200, 2)], 0.03).est == 0


def test_wilson_upper_known_values():
    assert wilson_upper(0, 0) == 1
    assert wilson_upper(0.1, 50) == pytest.approx(0.2136, abs=2e-4)
    assert math.isclose(wilson_upper(1, 10), 1)


def test_rates_are_weighted_by_the_sampling_probability():
    found = estimate([sums(100, 100, 0, pi1=0.01).plus(sums(100, 100, 10, pi1=0.02))])
    assert found.est == pytest.approx(0.1 / 3)
