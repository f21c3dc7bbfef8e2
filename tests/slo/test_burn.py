"""Burn levels: the same evidence as the detector's, few false alarms, and calm again afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo import Rule, clip_f, item_terms, log_evidence
from tidegauge.slo.burn import Counts, Items, block_sums, calmed, counted_burns, rule_at, windowed_evidence
from tidegauge.slo.policy import review_probability, solve_k

RULE = Rule(theta0=0.03)

items = st.builds(
    Items,
    block=st.integers(0, 20),
    f=st.floats(0, 0.2),
    pi=st.sampled_from([0.3, 0.5, 1.0]),
    u=st.floats(0.1, 1),
    reviewed=st.booleans(),
    y=st.just(0),
    number=st.integers(1, 5),
)


@given(st.lists(items, max_size=30))
def test_within_the_window_it_is_the_detector_s_evidence(rows: list[Items]) -> None:
    sums: dict[int, list[float]] = {}
    for row in rows:
        terms = item_terms(RULE, row.f, row.pi, row.reviewed, row.y, u=row.u)
        old = sums.setdefault(row.block, [0.0] * len(terms))
        sums[row.block] = [a + row.number * b for a, b in zip(old, terms, strict=True)]
    series, _ = log_evidence(RULE, sums, 0, 20)
    assert windowed_evidence(RULE, block_sums(RULE, rows), 0, 20, 0) == pytest.approx(series[-1])
    assert windowed_evidence(RULE, block_sums(RULE, rows), 5, 20, 0) <= series[-1] + 1e-9


def month(rates: np.ndarray, seed: int, a_block: int = 50) -> list[Items]:
    """Everything labelled: the clearest case."""
    rng = np.random.default_rng(seed)
    bad = rng.binomial(a_block, rates)
    return [
        Items(block, 0.03, 1.0, 1.0, True, y, int(n))
        for block, b in enumerate(bad)
        for y, n in ((1, b), (0, a_block - b))
    ]


def test_twice_the_objective_is_no_alarm_at_either_level() -> None:
    for burn in (2.0, 5.0):
        rule = rule_at(RULE, burn)
        assert rule is not None
        for seed in range(40):
            sums = block_sums(rule, month(np.full(112, 0.06), seed))
            assert windowed_evidence(rule, sums, 0, 111, 0) < rule.threshold


def test_a_burning_budget_is_found_and_calms_down() -> None:
    rule = rule_at(RULE, 2)
    assert rule is not None
    rates = np.concatenate([np.full(40, 0.01), np.full(20, 0.12), np.full(112, 0.01)])
    sums = block_sums(rule, month(rates, 1))
    assert windowed_evidence(rule, sums, 0, 39, 0) < 0
    assert windowed_evidence(rule, sums, 0, 59, 0) > rule.threshold
    assert not calmed(rule, windowed_evidence(rule, sums, 0, 59, 0), 0, 59, 0)
    assert calmed(rule, windowed_evidence(rule, sums, 60, 171, 0), 60, 171, 0)


@pytest.mark.parametrize("blocks", [1, 112, 224, 1460])
@pytest.mark.parametrize("origin", [0, -5])
def test_a_window_without_items_is_calm_however_long(blocks: int, origin: int) -> None:
    assert calmed(RULE, windowed_evidence(RULE, {}, 0, blocks - 1, origin), 0, blocks - 1, origin)


def test_a_level_above_one_is_none() -> None:
    assert rule_at(Rule(theta0=0.3), 5) is None


def test_counts_burn_over_both_look_backs_and_beyond_chance() -> None:
    bad, fine = Counts(10_000, 300), Counts(10_000, 90)
    assert counted_burns(bad, bad, 0.01, 2)
    assert not counted_burns(bad, fine, 0.01, 2)
    assert not counted_burns(fine, bad, 0.01, 2)
    assert not counted_burns(Counts(3, 1), Counts(3, 1), 0.01, 2)
    assert not counted_burns(Counts(0, 0), Counts(0, 0), 0.01, 2)


def months(rate: float, burn: float, *, labels: int, paths: int) -> tuple[float, float]:
    """Share of months with a ticket, and the median day, at 200 judged answers and so many labels a day.

    The judge has sensitivity .75 and specificity .95; f is what it would be after many labels.
    """
    rng, rule = np.random.default_rng(7), rule_at(RULE, burn)
    assert rule is not None
    flagged = rate * 0.75 + (1 - rate) * 0.05
    known = (rate * 0.25 / (1 - flagged), rate * 0.75 / flagged)
    r = labels / 200
    k = solve_k(known, (1 - flagged, flagged), r)
    pi_of = [review_probability(k, f, r) for f in known]
    f_of = [clip_f(f, pi) for f, pi in zip(known, pi_of, strict=True)]
    mixture = np.full((paths, len(rule.lambdas)), -np.inf)
    first, positives = np.full(paths, -1), np.zeros(paths)
    for block in range(112):
        y = rng.random((paths, 50)) < rate
        flag = np.where(y, rng.random(y.shape) < 0.75, rng.random(y.shape) < 0.05).astype(int)
        pi, f = np.array(pi_of)[flag], np.array(f_of)[flag]
        reviewed = rng.random(y.shape) < pi
        z = np.where(reviewed, y / pi + f * (1 - 1 / pi), f)
        positives += (reviewed & y).sum(axis=1)
        sums = np.log1p(np.array(rule.lambdas) * (z - rule.tested)[..., None]).sum(axis=1)
        mixture = sums + np.logaddexp(mixture, rule.log_weight(block, 0))
        log_e = np.logaddexp.reduce(mixture, axis=1) - np.log(len(rule.lambdas))
        first[(first < 0) & (log_e >= rule.threshold) & (positives >= rule.min_positives)] = block
    return float((first >= 0).mean()), float(np.median(first[first >= 0])) / 4 if (first >= 0).any() else np.inf


@pytest.mark.parametrize(("labels", "days"), [(20, 8.0), (100, 3.0)])
def test_four_times_the_objective_is_a_ticket_within_days(labels: int, days: float) -> None:
    share, median = months(0.12, 2, labels=labels, paths=60)
    assert share == 1
    assert median <= days


@pytest.mark.faults
@pytest.mark.parametrize(("rate", "burn"), [(0.06, 2), (0.15, 5)])
def test_at_the_level_itself_at_most_one_month_of_a_thousand_has_a_ticket(rate: float, burn: float) -> None:
    assert months(rate, burn, labels=20, paths=2000)[0] <= 0.001
