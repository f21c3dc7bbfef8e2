"""Simulated histories whose cause is known."""

import numpy as np
import pytest

from tests.slo.histories import BLOCKS, HARD, TENANTS, history, items, story
from tidegauge.slo import Rule, item_terms, log_evidence
from tidegauge.slo.attribution import Segment, attribute, concentrated
from tidegauge.slo.changepoint import step
from tidegauge.slo.loglinear import fit

KINDS = ("single", "joint", "mix", "tenant", "drift", "none")


def attributed(kind, seed, **changes):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    told = story(kind, rng, **changes)
    made = items(told, rng)
    return told, made, attribute(history(told, made), len(told.deployments) - 1)


def right(kind, told, found):
    """Whether the finding is the truth of a history, or an honest "cannot tell"."""
    if kind in ("single", "tenant"):
        return found.part == told.bad_parts[0]
    if kind == "mix":
        return found.part is None and found.mix_only
    if kind == "joint":
        return found.part is None and set(found.best.parts) == set(told.bad_parts)
    return found.part is None and found.changed == (kind == "drift")


def share_right(kind, seeds):
    return np.mean([right(kind, *attributed(kind, seed)[::2]) for seed in seeds])


def test_forty_histories():
    good = {
        kind: share_right(kind, range(100, 107 if kind in ("single", "tenant", "joint", "mix") else 106))
        for kind in KINDS
    }
    assert np.mean([good["single"], good["tenant"]]) >= 0.9
    assert np.mean([good[kind] for kind in ("joint", "mix", "drift", "none")]) >= 0.9
    assert min(good.values()) >= 0.8


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_histories(kind):
    assert share_right(kind, range(1000, 1200)) >= 0.9


def test_a_mix_shift_alone_is_no_breach():
    rule = Rule(0.03)
    for seed in range(10):
        _, made, _ = attributed("mix", seed)
        sums = {}
        for block, pi, reviewed, y in zip(made.block, made.pi, made.reviewed, made.y, strict=True):
            terms = item_terms(rule, 0.0, pi, bool(reviewed), int(y))
            row = sums.setdefault(int(block), [0.0] * len(terms))
            row[:] = [a + b for a, b in zip(row, terms, strict=True)]
        assert log_evidence(rule, sums, 0, BLOCKS - 1)[1] < rule.threshold


def test_the_fixed_mix_factor_is_that_of_the_mix():
    factors = [attributed("mix", seed)[2].mix_factor for seed in range(12)]
    truth = np.array([0.1, 0.1, 0.1, 0.7]) @ HARD / (TENANTS @ HARD)
    assert np.median(factors) == pytest.approx(truth, rel=0.25)


def test_the_interval_of_the_change_point_covers_it():
    covered, widths = [], []
    for seed in range(30):
        told, _, found = attributed("single", seed)
        covered.append(found.since.low <= told.starts[told.at] <= found.since.high)
        widths.append(found.since.high - found.since.low)
    assert np.mean(covered) >= 0.9
    assert np.median(widths) < BLOCKS / 4


def segments(told, made, found):
    bad = found.bad[made.deployment, made.block]
    rows = []
    for tenant in range(len(TENANTS)):
        here = made.tenant == tenant
        hit = made.reviewed * made.y
        rows.append(
            Segment(
                "tenant",
                str(tenant),
                hit[here & ~bad].sum(),
                (here & ~bad).sum(),
                hit[here & bad].sum(),
                (here & bad).sum(),
            )
        )
    return rows


def test_a_rise_in_one_tenant_is_found_there_and_one_in_all_is_not():
    named, silent = [], []
    for seed in range(30):
        told, made, found = attributed("tenant", seed)
        named.append([c.segment.value for c in concentrated(segments(told, made, found))] == [str(told.tenant)])
        silent.append(not concentrated(segments(*attributed("single", seed))))
    assert np.mean(named) >= 0.9
    assert np.mean(silent) >= 0.9


def test_where_nothing_was_found_nothing_is_concentrated():
    """A tenant that is almost gone: no finding in the one item after the change, as none in a thousand before it."""
    gone = Segment("tenant", "gone", 0.0, 1000.0, 0.0, 1.0)
    rest = Segment("tenant", "rest", 20.0, 1000.0, 60.0, 1000.0)
    assert concentrated([gone, rest]) == []


def test_one_stratum_and_one_group_give_the_plain_rate():
    found = fit(np.array([[12.0]]), np.array([[600.0]]))
    assert found.levels[0] * found.rates[0] == pytest.approx(0.02)


def test_no_findings_are_no_change():
    assert step(np.zeros((20, 2)), np.ones((20, 2))) is None
    assert step(np.ones((1, 2)), np.ones((1, 2))) is None
    assert concentrated([Segment("tenant", "a", 0, 10, 0, 10), Segment("tenant", "b", 0, 10, 0, 10)]) == []


def test_a_step_is_found_where_it_is():
    found = np.full((40, 1), 1.0)
    found[25:] = 6.0
    moved = step(found, np.full((40, 1), 50.0))
    assert moved.at == 25
    assert moved.low <= 25 <= moved.high
