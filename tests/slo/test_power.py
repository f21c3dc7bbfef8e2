"""What the planner says agrees with what the rule does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo.power import Situation, allot, delay, false_alarms, needed

SITUATION = Situation(requests=10_000, judged=200, labels=20)


def test_larger_rises_and_more_labels_are_seen_sooner():
    six, ten = (delay(SITUATION, rise, runs=60) for rise in (2.0, 10 / 3))
    assert (six.rate, ten.rate) == (pytest.approx(0.06), pytest.approx(0.1))
    assert ten.median_days < 2 < six.median_days < 11
    assert ten.seen == 1.0
    assert ten.median_judged == pytest.approx(200 * ten.median_days)
    assert delay(replace(SITUATION, labels=100), 2.0, runs=60).median_days < six.median_days


def test_the_labels_needed_do_what_they_are_needed_for():
    found = needed(SITUATION, within=2)
    assert found is not None
    wanted = replace(SITUATION, labels=found.labels, judged=found.judged)
    assert delay(wanted, 2.0, days=4).median_days <= 2.4
    assert delay(replace(wanted, labels=found.labels / 4), 2.0, days=4).median_days > 2


def test_what_cannot_be_seen_in_time_is_said_so():
    assert needed(replace(SITUATION, requests=200), within=1) is None


def test_the_bound_on_false_alarms_is_that_of_the_rule():
    assert false_alarms(0.001, 1, days=56) == pytest.approx(0.001 * 1.5)
    assert false_alarms(0.001, 4) == pytest.approx(0.001 * (2 + 0.5))


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.floats(1, 1e6), min_size=1, max_size=8),
    st.floats(0.001, 1),
    st.floats(1, 500),
)
def test_an_allotment_spends_the_total_and_keeps_minimums_that_fit(requests, rate, minimum):
    rates = allot(requests, rate, minimum)
    total = rate * sum(requests.values())
    spent = sum(rates[intent] * count for intent, count in requests.items())
    assert all(0 <= share <= 1 + 1e-9 for share in rates.values())
    assert spent == pytest.approx(total, rel=1e-6)
    least = {intent: min(minimum, count) for intent, count in requests.items()}
    if sum(least.values()) <= total:
        assert all(rates[intent] * count >= least[intent] * (1 - 1e-9) for intent, count in requests.items())
