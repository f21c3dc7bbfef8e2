"""Burn levels: the same evidence as the detector's, few false alarms, and calm again afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo import Rule, item_terms, log_evidence
from tidegauge.slo.burn import Counts, Items, block_sums, calmed, counted_burns, rule_at, windowed_evidence

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
    assert calmed(windowed_evidence(rule, sums, 60, 171, 0))


def test_a_level_above_one_is_none() -> None:
    assert rule_at(Rule(theta0=0.3), 5) is None


def test_counts_burn_over_both_look_backs_and_beyond_chance() -> None:
    bad, fine = Counts(10_000, 300), Counts(10_000, 90)
    assert counted_burns(bad, bad, 0.01, 2)
    assert not counted_burns(bad, fine, 0.01, 2)
    assert not counted_burns(fine, bad, 0.01, 2)
    assert not counted_burns(Counts(3, 1), Counts(3, 1), 0.01, 2)
    assert not counted_burns(Counts(0, 0), Counts(0, 0), 0.01, 2)
