"""When labels are bought, and what it costs and gains."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.slo.simulator import World as PlainWorld
from tests.slo.simulator import median_delay
from tidegauge.slo import Rule, make_detector, rate_terms, surge
from tidegauge.slo.policy import review_probability, solve_k
from tidegauge.slo.simulate import World, _probabilities, _rate_terms, months

RULE, FEW = Rule(0.03), Rule(0.03, bets=5)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=300), st.floats(1, 200), st.floats(0.001, 3))
def test_planned_labels_never_exceed_the_budget_and_the_bucket(evidence, labels, rate):
    bucket, planned, hour = float(surge.capacity(labels)), 0.0, 1 / 24
    for log_m in evidence:
        s_used = float(surge.used(surge.multiplier(log_m, bucket), rate))
        planned += s_used * labels * hour
        bucket = float(surge.refilled(bucket, labels, hour, s_used))
    slack = surge.SURGE * labels * hour  # one snapshot may take the bucket below empty
    assert planned <= labels * len(evidence) * hour + surge.capacity(labels) + slack
    assert bucket <= surge.capacity(labels)


def test_a_surge_needs_evidence_and_a_bucket_that_is_not_empty():
    assert surge.multiplier(log(0.5), 1.0) == surge.SURGE
    assert surge.multiplier(log(0.49), 1.0) == surge.REST
    assert surge.multiplier(5.0, 0.0) == surge.REST


def test_an_empty_bucket_is_full_again_after_140_days_of_rest():
    assert surge.refilled(0.0, 20, 139, surge.REST) < surge.capacity(20)
    assert surge.refilled(0.0, 20, 140, surge.REST) == pytest.approx(surge.capacity(20))


def test_few_bets_from_three_percent_on():
    assert (surge.bets_for(0.03), surge.bets_for(0.029)) == (5, 8)
    assert FEW.lambdas[0] == pytest.approx(0.1)
    assert len(FEW.lambdas) == 5
    assert FEW.lambdas[-1] == RULE.lambdas[-1] == pytest.approx(0.98 / 0.53)
    with pytest.raises(ValueError, match="5 or 8"):
        Rule(0.03, bets=6)


def test_a_detector_with_five_bets_rolls_back():
    detector = make_detector({"theta0": 0.03, "alpha": 0.001, "bets": 5})
    for n in range(20):
        detector.judged(n, 0.1 + n / 50, 0.1, 1.0, True)
        detector.label(n, 1)
    assert detector.decide(1.0)["rollback"]


def test_many_runs_at_once_have_the_policy_of_one():
    f, shares = np.array([[0.006, 0.25], [0.02, 0.02]]), np.array([[0.93, 0.07], [0.5, 0.5]])
    for r in (0.01, 0.1, 0.7, 1.0):
        found = _probabilities(f, shares, np.full(2, r))
        for run in range(2):
            k = solve_k(list(f[run]), list(shares[run]), r)
            assert found[run] == pytest.approx([review_probability(k, value, r) for value in f[run]], rel=1e-6)


def test_the_rate_terms_of_many_are_those_of_one():
    f, pi = np.array([[0.01, 0.2]]), np.array([[0.05, 0.0]])
    found = _rate_terms(f, pi)
    for place in range(2):
        for kind in range(3 if place == 0 else 1):
            one = rate_terms(f[0, place], pi[0, place], kind > 0, kind > 0, int(kind == 2))
            assert found[0, place, kind] == pytest.approx(list(one))


def test_the_simulation_agrees_with_the_one_of_single_items():
    plain = months(World(rate=0.1, surging=False), RULE, 100, seed=1).median
    assert plain == pytest.approx(median_delay(PlainWorld(rate=0.1), RULE, runs=60, seed=2), rel=0.25)


@pytest.mark.parametrize(("later", "day", "most"), [(0.06, 0, 0.6), (0.10, 0, 0.75), (0.10, 10, 0.85)])
def test_a_surge_is_faster_at_the_same_budget(later, day, most):
    world = {"rate": 0.02, "rate_later": later, "changes_at": day, "days": 18 if later == 0.06 else 14}
    with_surge = months(World(**world), FEW, 120, seed=3)
    plain = months(World(**world, surging=False), RULE, 120, seed=3)
    assert with_surge.median <= most * plain.median
    assert np.all(with_surge.labels * world["days"] <= 20 * (world["days"] + 14) * 1.15)
