"""Guardrails: false alarms under bursts, worse canaries found, and what little traffic may not say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.canary import simulate
from tidegauge.slo.canary import (
    NOTHING,
    Counts,
    Worsening,
    boundary,
    hallucination_evidence,
    latency_worsening,
    share_worsening,
)


def test_under_no_change_bursts_move_nobody_back() -> None:
    found = simulate(None, 40, seed=11, slower=0, worse=0)
    assert (found["latency_acted"], found["success_acted"]) == (0, 0)


def test_what_is_worse_is_found_within_a_day() -> None:
    assert simulate(None, 12, seed=12, slower=120, worse=0)["latency_acted"] >= 11 / 12
    assert simulate(None, 12, seed=13, slower=0, worse=0.05)["success_acted"] >= 11 / 12


def test_little_traffic_says_nothing() -> None:
    few = Counts(np.full(40, 2), np.full(40, 2))
    many = Counts(np.full(40, 100), np.zeros(40, dtype=np.int64))
    assert share_worsening(few, many, 0.001) == NOTHING
    short = Counts(np.full(20, 50), np.full(20, 50))
    assert share_worsening(short, Counts(many.requests[:20], many.bad[:20]), 0.001) == NOTHING
    assert not NOTHING.beyond(0.0)


@pytest.mark.parametrize(
    ("found", "beyond"),
    [
        (Worsening(130, 30, True), True),
        (Worsening(100, 30, True), True),
        (Worsening(80, 30, True), False),
        (Worsening(500, 30, False), False),
    ],
)
def test_it_acts_where_worse_is_proven_and_the_margin_is_near(found: Worsening, beyond: bool) -> None:
    assert found.beyond(120) is beyond


@given(st.integers(2, 400), st.integers(1, 50), st.integers(1, 9))
def test_equal_arms_differ_by_nothing(clusters: int, size: int, bad: int) -> None:
    arm = Counts(np.full(clusters, size * 10), np.full(clusters, bad))
    found = share_worsening(arm, arm, 0.001)
    assert not found.proven
    assert found.est in (0.0, NOTHING.est)


def test_a_slower_tail_alone_is_found() -> None:
    rng = np.random.default_rng(5)
    values = np.arange(1.0, 400.0) * 10

    def arm(size: int, slow: float) -> np.ndarray:
        table = np.zeros((100, len(values)), dtype=np.int64)
        for cluster in table:
            latency = rng.lognormal(6.5, 0.4, size) + np.where(rng.random(size) < slow, 1200, 0)
            np.add.at(cluster, np.searchsorted(values, latency).clip(0, len(values) - 1), 1)
        return table

    found = latency_worsening(arm(60, 0.12), arm(600, 0.0), values, 0.001)
    assert found.beyond(120)
    assert found.est > 500


def test_the_boundary_is_wider_for_smaller_errors_and_early_looks() -> None:
    assert boundary(288, 0.0001) > boundary(288, 0.001) > 3
    assert boundary(24, 0.001) > boundary(288, 0.001)


def test_positives_as_frequent_as_the_traffic_are_no_evidence() -> None:
    rng = np.random.default_rng(6)
    highest = []
    for _ in range(500):
        entries = [(bool(rng.random() < 0.05), 0.05) for _ in range(60)]
        highest.append(max(hallucination_evidence(entries[:n]) for n in range(1, 61)))
    assert sum(h >= np.log(1000) for h in highest) <= 1
    worse = [(n % 3 == 0, 0.05) for n in range(30)]  # a third of the positives from a twentieth of the traffic
    assert hallucination_evidence(worse) >= np.log(1000)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), max_size=30))
def test_evidence_does_not_depend_on_the_order(entries: list[tuple[bool, float]]) -> None:
    assert hallucination_evidence(entries) == pytest.approx(hallucination_evidence(entries[::-1]), abs=1e-9)
