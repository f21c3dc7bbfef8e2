"""Snapshots, surges and what is shown of them, on a real store."""

import math

import pytest

from tests.service.sums import month
from tests.service.world import HASH, NEW, NOW, decide_all, ingest, judge, label, objective, request, table
from tidegauge.commands import status
from tidegauge.domain import DAY, HOUR, Objective
from tidegauge.service.policy import Policy, refresh
from tidegauge.service.review import export_cases
from tidegauge.service.surges import surges
from tidegauge.storage.flow import flow
from tidegauge.storage.store import Store

BUDGET = Objective(intent="refunds", theta0=0.03, labels_per_day=20)


def snapshot(store: Store, now: int = NOW, wanted: Objective = BUDGET) -> Policy:
    with store.write() as tx:
        return refresh(tx, [wanted], now)["refunds"]


def traffic(store: Store, first: float, days: float, start: int = 0) -> list:
    """A hundred requests a day, all judged under a budget of 20 labels a day."""
    requests = month(int(100 * days), start=start, first=first, every=0.24)
    judge(store, requests, labels_per_day=20)
    return requests


def reviewed(store: Store, requests: list) -> list:
    chosen = {o["request_id"] for o in table(store, "outcomes") if o["reviewed"]}
    return [one for one in requests if one.request_id in chosen]


def rows_of(store: Store, intent: str) -> list[dict]:
    keys = {row["test_key"] for row in table(store, "test_keys") if row["intent"] == intent}
    return [row for row in table(store, "test_sums") if row["test_key"] in keys]


def test_before_the_first_test_the_budget_is_spent_evenly(store: Store):
    with store.write() as tx:
        ingest(tx, month(200, every=0.24))
    found = snapshot(store)
    assert (found.surge.s, found.surge.bucket, found.surge.since) == (1.0, 280.0, None)
    assert found.r == pytest.approx(found.labels_per_item) == pytest.approx(20 / 100, rel=0.02)


def test_a_test_begins_in_a_surge_and_rests_once_labels_speak_for_it(store: Store):
    requests = traffic(store, 0, 2)
    first = snapshot(store, NOW + 1 * HOUR)
    assert (first.surge.s, first.surge.deployment) == (4.0, NEW.id)
    assert first.r == pytest.approx(4 * first.labels_per_item)
    label(store, reviewed(store, requests), False)
    decide_all(store)
    second = snapshot(store, NOW + 2 * HOUR)
    assert second.surge.s == 0.9
    assert second.surge.log_m < math.log(0.5)
    assert second.surge.since is None


def test_the_bucket_pays_for_a_surge_in_event_time(store: Store):
    traffic(store, 0, 2)
    first = snapshot(store, NOW + 1 * HOUR)
    with store.write() as tx:
        ingest(tx, [request(900, 54)])
    second = snapshot(store, NOW + 2 * HOUR)
    days = (second.surge.at - first.surge.at) / DAY
    assert second.surge.bucket == pytest.approx(280 + 20 * days * (0.1 - (4 - 0.9)))
    assert second.surge.since == first.surge.since
    row = table(store, "snapshots")[0]
    assert (row["bucket"], row["s"], row["capacity"]) == (second.surge.bucket, 4.0, 280.0)


def test_growing_evidence_brings_the_surge_and_a_breach_ends_it(store: Store):
    requests = traffic(store, 0, 3)
    chosen = reviewed(store, requests)
    label(store, chosen[:4], True)
    decide_all(store)
    assert snapshot(store, NOW + HOUR).surge.s == 4.0
    label(store, chosen[4:], True)
    assert any(decision.breach for decision in decide_all(store))
    ended = snapshot(store, NOW + 2 * HOUR)
    assert (ended.surge.s, ended.surge.log_m) == (1.0, None)


def test_a_breach_that_joined_an_open_incident_needs_no_surge_either(store: Store):
    for hours, start in ((0, 0), (48, 1000)):  # a day without traffic begins a new test
        requests = month(40, start=start, first=hours, every=0.01)
        judge(store, requests)
        label(store, requests, True)
        assert [decision.breach for decision in decide_all(store)] == [True]
        assert snapshot(store, NOW + (1 + hours) * HOUR).surge.log_m is None
    assert (len(table(store, "incidents")), len(table(store, "incident_keys"))) == (1, 2)


def test_a_snapshot_holds_for_an_hour_and_f_for_six(store: Store):
    requests = traffic(store, 0, 2)
    first = snapshot(store, NOW + HOUR)
    label(store, reviewed(store, requests), True)
    assert snapshot(store, NOW + HOUR + 1) == first
    assert snapshot(store, NOW + HOUR + 1, objective()).labels_per_day == 1e6
    assert snapshot(store, NOW + 3 * HOUR).f == first.f
    assert snapshot(store, NOW + 12 * HOUR).f_of(HASH, 0) > 0.5


def test_the_number_of_bets_is_fixed_when_a_test_begins(store: Store):
    traffic(store, 0, 2)
    assert table(store, "test_keys")[0]["bets"] == 5
    judge(store, month(5, start=700, first=50), labels_per_day=0.1)
    assert table(store, "test_keys")[0]["bets"] == 5
    judge(store, [request(800, 50, intent="other")], labels_per_day=0.01)
    assert {row["intent"]: row["bets"] for row in table(store, "test_keys")} == {"refunds": 5, "other": 8}
    assert all(row["s5"] == row["s7"] == 0 != row["s4"] for row in rows_of(store, "refunds"))
    assert all(row["s7"] != 0 for row in rows_of(store, "other"))


def test_reviewers_and_status_see_why(store: Store):
    traffic(store, 0, 2)
    snapshot(store, NOW + HOUR)
    with store.read() as tx:
        case, *_ = export_cases(tx)
        shown = surges(tx)["refunds"]
        waiting = flow(tx, NOW)
    assert case["surge"] == shown["why"]
    assert "4 times the labels since 20" in case["surge"]
    assert NEW.id in case["surge"]
    assert "280 of 280 extra labels are left" in case["surge"]
    assert (shown["on"], shown["times"], shown["evidence"]) == (True, 4.0, 1.0)
    counts = dict.fromkeys(
        ("seen", "quarantined", "unsampled", "sampled", "repeats", "judged", "unscored", "pending"), 1
    )
    found = {
        **counts,
        "blocks": {"planned": 0, "done": 1, "lost": 0},
        "review": {"queued": 1, "leased": 0, "labelled": 0},
        "lag_seconds": 0,
        "per_intent": {},
        "quarantine": {},
        "quarantine_examples": {},
        "evaluation": {"judges": {}, "failing": {}, "spent": 0, "shed": 0, "judge_failed": 0, "coverage": None},
        "copies": [],
        "surges": {"refunds": shown},
        "flow": waiting,
    }
    assert f"surge in refunds: {shown['why']}" in status.text(found)


def test_where_everything_is_reviewed_there_is_no_surge_to_show(store: Store):
    judge(store, month(200, every=0.24))
    with store.read() as tx:
        case, *_ = export_cases(tx)
        assert not surges(tx)["refunds"]["on"]
    assert case["surge"] is None
