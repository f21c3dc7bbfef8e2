"""Policy snapshots of an intent whose traffic is not known yet."""

from math import log

from tests.service.world import judge, label, request, table
from tidegauge.service.policy import GROWTH
from tidegauge.storage.store import Store

ITEMS, BUNDLE, BUDGET = 900, 3, 30.0


def test_there_is_a_snapshot_when_something_has_changed_not_for_every_bundle(store: Store) -> None:
    for n in range(0, ITEMS, BUNDLE):
        judge(store, [request(n + i, 1 + (n + i) / 1000) for i in range(BUNDLE)], labels_per_day=BUDGET)
    kept = {row["policy"] for row in table(store, "policies")}
    assert {row["policy"] for row in table(store, "outcomes")} <= kept
    assert len(kept) <= 3 + log(ITEMS / BUNDLE) / log(GROWTH)
    # Of n items so far, each is reviewed with a chance of budget / n: twice a budget of 30 in the first 220, and so on.
    assert BUDGET <= len(table(store, "review_queue")) <= BUDGET * (1 + log(ITEMS / BUDGET)) * GROWTH * 1.3


def test_labels_of_the_first_day_teach_at_once(store: Store) -> None:
    requests = [request(n, 1 + n / 1000) for n in range(40)]
    judge(store, requests, labels_per_day=1000.0)
    judge(store, [request(40, 1.05)], labels_per_day=1000.0)  # knows the evaluator
    before = len(table(store, "policies"))
    judge(store, [request(41, 1.05)], labels_per_day=1000.0)
    assert len(table(store, "policies")) == before
    label(store, requests[:20], True)
    judge(store, [request(42, 1.05)], labels_per_day=1000.0)
    assert len(table(store, "policies")) == before + 1
