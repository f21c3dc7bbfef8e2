"""What confirmed positives say of a canary: its part of them against its part of the samples that could become one."""

import random
from typing import Any

import pytest

from tests.service.world import NEW, NOW, OLD, ingest, judge, label, request
from tidegauge.config import CanarySection, MatchSection
from tidegauge.service import canary
from tidegauge.storage.store import Store

SECTION = CanarySection(name="c", canary=MatchSection(cohort="canary"), intent="refunds")
HOURS = 48
SAMPLED = {"canary": 8, "stable": 12}


def history(store: Store, seed: int, ratio: float = 1.0, **unsampled: Any) -> None:
    """Two days: 6 % of the control's samples are bad, `ratio` times as many of the canary's; all are labelled.

    For each sample of the control it has five requests more that are none.
    """
    rng = random.Random(seed)
    places = [(hour, cohort) for hour in range(HOURS) for cohort, count in SAMPLED.items() for _ in range(count)]
    deployments = {"canary": NEW, "stable": OLD}
    samples = [request(n, hour, deployments[cohort], cohort=cohort) for n, (hour, cohort) in enumerate(places)]
    bad = [s for s in samples if rng.random() < 0.06 * (ratio if s.cohort == "canary" else 1.0)]
    judge(store, samples)
    label(store, bad, True)
    with store.write() as tx:
        more = [request(9_000 + n, n / 60, OLD, cohort="stable", **unsampled) for n in range(HOURS * 60)]
        ingest(tx, more, sampled=False)


def look(store: Store) -> canary.Trial:
    with store.read() as tx:
        (looked,) = canary.look(tx, [SECTION], NOW)
    return looked.trial


@pytest.mark.parametrize("unsampled", [{"served_by": "rule"}, {}], ids=["of another tier", "sampled at a lower rate"])
@pytest.mark.parametrize("seed", range(4))
def test_a_canary_as_good_as_its_control_is_not_accused(store: Store, seed: int, unsampled: dict[str, str]) -> None:
    history(store, seed, **unsampled)
    found = look(store)
    assert found.breached == ()
    evidence = found.evidence["hallucination"]
    assert evidence["positives"] > 40
    assert evidence["log_e"] < 2


@pytest.mark.parametrize("unsampled", [{"served_by": "rule"}, {}], ids=["of another tier", "sampled at a lower rate"])
def test_one_four_times_as_bad_is_found(store: Store, unsampled: dict[str, str]) -> None:
    history(store, 1, ratio=4.0, **unsampled)
    assert look(store).breached == ("hallucination",)
