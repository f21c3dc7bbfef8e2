"""Months of production: false rollbacks, delays, intervals. Small here; in full under `make acceptance`."""

import numpy as np
import pytest

from tests.slo.simulator import World, false_rollbacks, median_delay, month, replay
from tidegauge.slo import Rule, estimate, simulate

RULE = Rule(0.03)
FEW = Rule(0.03, bets=5)
JUDGES = {
    "good": {"sensitivity": 0.75, "specificity": 0.95},
    "poor": {"sensitivity": 0.6, "specificity": 0.9},
    "drifting": {"sensitivity": 0.75, "specificity": 0.95, "specificity_later": 0.8},
}
RATES = [0.01, 0.02, 0.029, 0.03]
GAINS = [(0.06, 0, 0.60), (0.10, 0, 0.75), (0.06, 10, 0.80), (0.10, 10, 0.85)]

NULLS = {
    "at the objective": World(rate=0.03),
    "just below": World(rate=0.029),
    "good": World(rate=0.01),
    "poor judge": World(rate=0.03, sensitivity=0.6, specificity=0.9),
    "judge drifts": World(rate=0.03, specificity_later=0.88),
    "judge drifts far": World(rate=0.029, specificity_later=0.80, labels_per_day=100),
    "positives come first": World(rate=0.03, delay_positive=0, delay_negative=8, labels_per_day=100),
    "negatives never come": World(rate=0.03, delay_positive=0, delay_negative=None),
    "everything labelled": World(rate=0.03, labels_per_day=200),
}
DELAYS = [(0.06, 20, 2200), (0.06, 100, 1050), (0.10, 20, 430), (0.10, 100, 270)]


def misses(world: World, runs: int, seed: int) -> int:
    found = 0
    for stream in np.random.SeedSequence(seed).spawn(runs):
        interval = replay(month(world, RULE, np.random.default_rng(stream)), RULE).estimate()
        found += not interval["lo"] <= world.rate <= interval["hi"]
    return found


@pytest.mark.parametrize("name", NULLS)
def test_healthy_months_are_left_alone(name):
    assert false_rollbacks(NULLS[name], RULE, months=25, seed=101) == 0


@pytest.mark.parametrize(("rate", "labels", "limit"), DELAYS)
def test_bad_deployments_are_rolled_back_in_time(rate, labels, limit):
    assert median_delay(World(rate=rate, labels_per_day=labels), RULE, runs=50, seed=102) <= limit


@pytest.mark.parametrize(("rate", "labels"), [(0.01, 20), (0.03, 100)])
def test_intervals_cover(rate, labels):
    assert misses(World(rate=rate, labels_per_day=labels, days=28), runs=30, seed=103) <= 5


@pytest.mark.faults
@pytest.mark.parametrize("name", NULLS)
def test_hundreds_of_healthy_months(name):
    assert false_rollbacks(NULLS[name], RULE, months=600, seed=201) <= 1


@pytest.mark.faults
@pytest.mark.parametrize(("rate", "labels", "limit"), DELAYS)
def test_the_median_delay(rate, labels, limit):
    assert median_delay(World(rate=rate, labels_per_day=labels), RULE, runs=600, seed=202) <= limit


@pytest.mark.faults
@pytest.mark.parametrize("labels", [20, 100, 200])
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.06])
def test_intervals_miss_at_most_seven_percent(rate, labels):
    assert misses(World(rate=rate, labels_per_day=labels, days=28), runs=200, seed=203) <= 14


def surging(runs, seed, **world):
    return simulate.months(simulate.World(**world), FEW, runs, seed)


def surging_misses(rate, labels, runs, seed):
    world = simulate.World(rate=rate, labels_per_day=labels, days=28)
    found = [estimate(strata) for strata in simulate.months(world, FEW, runs, seed, rates=True).rates]
    return sum(not interval.lo <= rate <= interval.hi for interval in found)


@pytest.mark.parametrize("judge", JUDGES)
def test_healthy_months_with_surges_are_left_alone(judge):
    assert not surging(60, 301, rate=0.03, **JUDGES[judge]).rolled_back.any()


@pytest.mark.parametrize(("rate", "labels"), [(0.02, 20), (0.06, 20), (0.02, 100)])
def test_intervals_cover_with_surges(rate, labels):
    assert surging_misses(rate, labels, runs=50, seed=302) <= 5


@pytest.mark.faults
@pytest.mark.parametrize("judge", JUDGES)
def test_twelve_thousand_healthy_months_with_surges(judge):
    found = {rate: surging(1000, 401, rate=rate, **JUDGES[judge]).rolled_back.sum() for rate in RATES}
    assert sum(found.values()) <= 4, found


@pytest.mark.faults
@pytest.mark.parametrize(("rate", "labels", "limit"), DELAYS)
def test_the_median_delay_with_surges(rate, labels, limit):
    assert surging(600, 402, rate=rate, labels_per_day=labels).median <= limit


@pytest.mark.faults
@pytest.mark.parametrize(("later", "day", "most"), GAINS)
def test_what_a_surge_gains(later, day, most):
    world = {"rate": 0.02, "rate_later": later, "changes_at": day, "days": 45}
    plain = simulate.months(simulate.World(**world, surging=False), RULE, 400, 403)
    assert surging(400, 403, **world).median <= most * plain.median


@pytest.mark.faults
@pytest.mark.parametrize("labels", [20, 100, 200])
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.06])
def test_intervals_miss_at_most_seven_percent_with_surges(rate, labels):
    assert surging_misses(rate, labels, runs=400, seed=404) <= 28
