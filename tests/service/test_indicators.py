"""Indicators that are counted from the rollups."""

import json

import numpy as np
import pytest

from tests.service.world import NEW, START, table
from tidegauge.config import Config
from tidegauge.domain import DAY, HOUR
from tidegauge.openslo import Slo
from tidegauge.service.budgets import budget_rows
from tidegauge.service.burning import Objectives, check
from tidegauge.service.indicators import Hour, counted_budget
from tidegauge.storage.histogram import buckets, pack
from tidegauge.storage.store import Store, Transaction

COUNTS = (
    *("errors", "timeouts", "feedback_up", "feedback_neutral", "feedback_down", "input_tokens", "output_tokens"),
    *("cost_nano_usd", "cost_unknown"),
)
NAMES = ("fallback_share", "task_success", "error_rate", "latency", "answer_relevance")


def config(allowed: float = 0.1) -> Config:
    slos = [
        Slo(name=n, indicator=n, intent="*", allowed=allowed, threshold_ms=100 if n == "latency" else None)
        for n in NAMES
    ]
    return Config(slos=tuple(slos))


def wanted(allowed: float = 0.1) -> Objectives:
    found = config(allowed)
    return Objectives(found.slo, found.counted, found.as_objective)


def roll(
    tx: Transaction, hours: float, requests: int, served_by: str = "primary", experiment: str = "", **counts
) -> None:
    """One row of five minutes; `slow` of the requests took 200 ms, the others 50."""
    slow = counts.pop("slow", 0)
    names = {"intent": "refunds", "deployment": NEW.id, "feature": "", "cohort": "", "experiment": experiment}
    segment = abs(hash((served_by, experiment))) % 10**9
    tx.run("insert_segment", segment=segment, **names, served_by=served_by)
    numbers, amounts = np.unique(buckets(np.array([200.0] * slow + [50.0] * (requests - slow))), return_counts=True)
    tx.run(
        "add_five_minutes",
        bucket=(START + int(hours * HOUR)) // (HOUR // 12),
        segment=segment,
        requests=requests,
        latency=pack(numbers, amounts),
        retrieval_latency=b"",
        **{**dict.fromkeys(COUNTS, 0), **counts},
    )


def rows(store: Store, allowed: float = 0.1, segments: bool = False) -> list[dict]:
    with store.read() as tx:
        return budget_rows(tx, wanted(allowed), segments=segments)


def test_what_counts_as_bad(store: Store):
    with store.write() as tx:
        roll(tx, 1, 80, errors=4, timeouts=2, feedback_down=5, slow=8)
        roll(tx, 2, 20, served_by="fallback", errors=1, feedback_down=3, slow=2)
    found = {row["indicator"]: row for row in rows(store)}
    assert found["error_rate"]["rate"] == 0.07
    assert found["fallback_share"]["rate"] == 0.2
    assert found["task_success"]["rate"] == pytest.approx((20 + 4 + 2 + 5) / 100)
    assert found["latency"]["rate"] == 0.1
    assert found["latency"]["budget_used"] == pytest.approx(1)
    assert (
        found["answer_relevance"]
        | {
            "rate": None,
            "reason": "budgets of judged indicators other than hallucination are not kept; see tidegauge slo",
        }
        == found["answer_relevance"]
    )
    json.dumps(list(found.values()), allow_nan=False)


def test_experiments_are_segments_of_their_own(store: Store):
    with store.write() as tx:
        roll(tx, 1, 100, errors=1)
        roll(tx, 1, 100, experiment="b", errors=50)
    found = [row for row in rows(store, segments=True) if row["indicator"] == "error_rate"]
    assert [(row.get("experiment"), row["rate"]) for row in found] == [(None, 0.01), ("", 0.01), ("b", 0.5)]


def test_errors_that_go_on_are_a_ticket_until_they_end(store: Store):
    with store.write() as tx:
        for hour in range(80):
            roll(tx, hour, 100, errors=30)
    check(store, wanted(), START + 4 * DAY)
    tickets = {json.loads(t["subject"])["indicator"]: t for t in table(store, "tickets")}
    assert {i: t["state"] for i, t in tickets.items()} == {"error_rate": "open", "task_success": "open"}
    evidence = json.loads(tickets["error_rate"]["evidence"])
    assert (evidence["burn"], evidence["rate"]) == (2, pytest.approx(3))
    with store.write() as tx:
        for hour in range(80, 160):
            roll(tx, hour, 100, errors=1)
    check(store, wanted(), START + 7 * DAY)
    assert {t["state"] for t in table(store, "tickets")} == {"closed"}


def test_a_ticket_of_an_objective_that_is_no_more_closes(store: Store):
    with store.write() as tx:
        for hour in range(80):
            roll(tx, hour, 100, errors=30)
    check(store, wanted(), START + 4 * DAY)
    left = Config(slos=tuple(slo for slo in config().slos if slo.indicator != "error_rate"))
    for less, state in ((left, "open"), (Config(), "closed")):
        check(store, Objectives(less.slo, less.counted, less.as_objective), START + 4 * DAY)
        found = {json.loads(t["subject"])["indicator"]: t["state"] for t in table(store, "tickets")}
        assert found == {"error_rate": "closed", "task_success": state}


def test_slow_requests_are_counted_once_and_again_where_late_ones_came(store: Store):
    with store.write() as tx:
        roll(tx, 1, 100, slow=10)
        roll(tx, 2, 100, slow=30)
    check(store, wanted(), START + DAY)
    kept = table(store, "latency_hours")
    assert [(row["measured"], row["slow"]) for row in kept] == [(100, 10), (100, 30)]
    assert [row["rate"] for row in rows(store) if row["indicator"] == "latency"] == [0.2]
    with store.write() as tx:
        roll(tx, 1.5, 100, slow=50)
        roll(tx, 3, 10)
    check(store, wanted(), START + DAY)
    kept = sorted(table(store, "latency_hours"), key=lambda row: row["hour"])
    assert [(row["measured"], row["slow"]) for row in kept] == [(200, 60), (100, 30), (10, 0)]


def test_counted_objectives_are_versioned_rows(store: Store):
    with store.write() as tx:
        roll(tx, 1, 100)
    check(store, wanted(), START + DAY)
    check(store, wanted(0.2), START + 2 * DAY)
    versions = [(r["indicator"], r["theta0"]) for r in table(store, "objectives") if r["indicator"] == "latency"]
    assert versions == [("latency", 0.1), ("latency", 0.2)]


def test_a_forecast_does_not_go_on_from_traffic_that_ended() -> None:
    slo = Slo(name="e", indicator="error_rate", intent="refunds", allowed=0.03)
    series = [Hour(24 * day, ("", ""), 1000, 10 if day < 10 else 50) for day in range(17)]
    assert counted_budget(slo, series, 17 * DAY).days_left == 3
    assert counted_budget(slo, series, 21 * DAY).days_left == 7  # of the last week four days were idle
