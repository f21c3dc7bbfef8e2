"""From verdicts to sums to decisions, on a real store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service import world
from tests.service.sums import check_sums, month
from tests.service.world import commit, decide_all, ingest, judge, label, request, table, verdict
from tidegauge import domain
from tidegauge.domain import EvaluationState
from tidegauge.service.policy import refresh
from tidegauge.service.route import chosen, commit_verdicts
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store, retry_conflicts


def test_counts_are_conserved(store: Store):
    requests = [*month(40), request(900, 3, served_by="fallback"), request(901, 3, served_by="rule")]
    routed = judge(store, requests)
    assert sorted(routed.final) == sorted(r.request_id for r in requests)
    outcomes = table(store, "outcomes")
    assert len(outcomes) == 42
    assert sum(o["test_key"] is None for o in outcomes) == 2
    assert sum(c["final"] for c in table(store, "cells")) == 40 == sum(c["sampled"] for c in table(store, "cells"))
    assert sum(r["items"] for r in table(store, "rate_sums")) == 40
    assert len(table(store, "review_queue")) == sum(o["reviewed"] for o in outcomes) == 40
    assert {s["state"] for s in table(store, "samples")} == {"judged"}
    assert len(table(store, "verdicts")) == 42
    check_sums(store)


def test_the_first_verdict_stands(store: Store):
    requests = month(5)
    judge(store, requests)
    before = table(store, "outcomes")
    assert commit(store, requests, [7] * 5) == ([], set())
    assert table(store, "outcomes") == before


def test_a_pending_verdict_gives_the_sample_back(store: Store):
    one = request(1)
    with store.write() as tx:
        ingest(tx, [one])
        routed = commit_verdicts(tx, [verdict(one, state=EvaluationState.PENDING)], {}, world.routing(), world.NOW)
    assert routed == ([], set())
    sample = table(store, "samples")[0]
    assert (sample["state"], sample["owner"], sample["attempts"]) == ("pending", None, 1)
    assert table(store, "outcomes") == []


def test_a_late_label_moves_the_original_block(store: Store):
    first, later = month(10, every=0.1), month(10, start=100, first=30, every=0.1)
    judge(store, first)
    judge(store, later)
    decide_all(store)
    label(store, first[:1], True)
    positive = [r["block"] for r in table(store, "test_sums") if r["positives"]]
    assert positive == [domain.test_block(first[0].timestamp)]
    check_sums(store)


def test_a_late_record_is_tested_where_a_decision_has_read(store: Store):
    judge(store, month(5, first=30, every=0.1))
    decide_all(store)
    judge(store, month(3, start=100, first=20, every=0.1))
    late = [o for o in table(store, "outcomes") if o["request_id"] >= "r-00100"]
    newest = domain.test_block(request(0, 30).timestamp)
    assert {o["test_block"] for o in late} == {newest}
    assert {o["event_block"] for o in late} == {domain.test_block(request(0, 20).timestamp)}


def test_a_correction_takes_the_evidence_back(store: Store):
    requests = month(30, every=0.1)
    judge(store, requests)
    label(store, requests[:8], False)
    before = decide_all(store)[0].log_e
    label(store, requests[8:10], True)
    assert decide_all(store)[0].log_e > before
    report = label(store, requests[8:10], False)
    assert (report.applied, report.corrections) == (2, 2)
    assert decide_all(store)[0].log_e == pytest.approx(before)
    assert len(table(store, "labels")) == 12
    check_sums(store)


def test_two_confirmations(store: Store):
    requests = month(3, every=0.1)
    judge(store, requests)
    label(store, requests, True, "ann", confirmations=2)
    assert sum(o["y"] for o in table(store, "outcomes")) == 0
    assert {c["state"] for c in table(store, "review_queue")} == {"queued"}
    label(store, requests, True, "ann", confirmations=2)
    assert sum(o["y"] for o in table(store, "outcomes")) == 0
    label(store, requests[:2], True, "ben", confirmations=2)
    assert sum(o["y"] for o in table(store, "outcomes")) == 2
    check_sums(store)


def test_who_cannot_tell_leaves_it_to_another(store: Store):
    requests = month(2, every=0.1)
    judge(store, requests)
    label(store, requests, None, "ann")
    assert {c["state"] for c in table(store, "review_queue")} == {"queued"}
    label(store, requests[:1], None, "ben")
    assert sorted(c["state"] for c in table(store, "review_queue")) == ["queued", "unreturned"]
    assert {(o["y"], o["returned"]) for o in table(store, "outcomes")} == {(0, 0)}
    label(store, requests[:1], True, "eve")
    assert sum(o["y"] for o in table(store, "outcomes")) == 1
    check_sums(store)


def test_every_label_is_counted_once(store: Store):
    requests = [*month(4, every=0.1), request(9, 1, served_by="fallback")]
    judge(store, requests)
    label(store, requests[:1], True)
    report = label(store, [*requests, request(77)], True)
    assert (report.applied, report.doubled, report.volunteered, report.unknown) == (3, 1, 1, 1)
    assert report.unknown_ids == ["r-00077"]
    assert [row["counts"] for row in table(store, "labels") if row["request_id"] == "r-00009"] == [0]
    check_sums(store)


def test_a_gap_of_a_day_starts_a_new_test(store: Store):
    judge(store, month(5, every=1) + month(5, start=100, first=28.9, every=1))
    assert sorted(k["episode"] for k in table(store, "test_keys")) == [0, 1]
    judge(store, month(5, start=200, first=33, every=1))
    assert len(table(store, "test_keys")) == 2


def test_a_renamed_split_or_merged_intent_starts_tests_of_its_own(store: Store):
    old = month(6, every=1)
    judge(store, old)
    label(store, old[:2], True)
    before = list(table(store, "test_sums"))
    halves = [request(100 + n, 6 + n, intent=f"refunds.{'ab'[n % 2]}") for n in range(6)]  # split
    judge(store, halves)
    judge(store, [request(200 + n, 13 + n, intent="refunds") for n in range(3)])  # and merged again
    keys = {k["intent"]: (k["episode"], k["first_at"]) for k in table(store, "test_keys")}
    assert {intent: episode for intent, (episode, _) in keys.items()} == {"refunds": 0, "refunds.a": 0, "refunds.b": 0}
    assert keys["refunds.b"][1] > keys["refunds.a"][1] > keys["refunds"][1]
    kept = {(row["test_key"], row["block"]): row for row in table(store, "test_sums")}
    assert all(kept[row["test_key"], row["block"]]["positives"] >= row["positives"] for row in before)
    label(store, old[2:4], True)  # a late label still moves the test that its item was in
    positives = {row["test_key"]: 0 for row in table(store, "test_sums")}
    for row in table(store, "test_sums"):
        positives[row["test_key"]] += row["positives"]
    assert sorted(positives.values()) == [0, 0, 4]
    check_sums(store)


def test_a_changed_objective_starts_a_new_test(store: Store):
    judge(store, month(5, every=1))
    judge(store, month(5, start=100, first=5, every=1), theta0=0.05)
    judge(store, month(5, start=200, first=9, every=1), theta0=0.05, owner="payments")
    assert sorted((k["episode"], k["objective"]) for k in table(store, "test_keys")) == [(0, 1), (1, 2)]
    assert len(table(store, "objectives")) == 2


def test_days_far_behind_are_not_routed(store: Store):
    judge(store, [request(1, 0), request(2, 29.5 * 24)])
    assert [o["test_key"] is None for o in sorted(table(store, "outcomes"), key=lambda o: o["request_id"])] == [
        True,
        False,
    ]


def test_the_budget_limits_the_queue(store: Store):
    requests = [request(i, 0.01 * i) for i in range(1000)]
    judge(store, requests, labels_per_day=20)
    queued = len(table(store, "review_queue"))
    assert 8 <= queued <= 40
    more = [request(2000 + i, 10 + 0.001 * i) for i in range(1000)]
    with store.write() as tx:
        ingest(tx, more)
        policies = refresh(tx, [world.objective()], world.NOW)
        greedy = {"refunds": policies["refunds"].__class__(**{**_fields(policies["refunds"]), "labels_per_day": 20.0})}
        commit_verdicts(tx, [verdict(r) for r in more], greedy, world.routing(), world.NOW)
    assert len(table(store, "review_queue")) == 80
    blind = [o for o in table(store, "outcomes") if o["pi"] == 0]
    assert blind
    assert all(o["f"] == 0 and o["reviewed"] == 0 for o in blind)
    check_sums(store)


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_the_coin_is_fair_and_keyed():
    names = [f"r-{n}" for n in range(20_000)]
    share = sum(chosen(b"k", name, 0.2) for name in names) / len(names)
    assert share == pytest.approx(0.2, abs=0.012)
    assert [chosen(b"k", n, 0.2) for n in names] != [chosen(b"l", n, 0.2) for n in names]
    assert all(chosen(b"k", n, 1.0) for n in names)
    assert not any(chosen(b"k", n, 0.0) for n in names)


def test_a_policy_that_did_not_change_is_not_written_again(store: Store):
    judge(store, month(5, every=1))
    with store.write() as tx:
        first = refresh(tx, [world.objective()], 1)
        assert refresh(tx, [world.objective()], 2) == first
    assert len(table(store, "policies")) == len({p["policy"] for p in table(store, "policies")}) <= 2


def test_labels_teach_the_policy(store: Store):
    requests = month(40, every=0.1)
    judge(store, requests, bins=[7, 0] * 20)
    label(store, requests[0::2], True)
    label(store, requests[1::2], False)
    with store.write() as tx:
        policy = refresh(tx, [world.objective()], world.NOW)["refunds"]
    assert policy.f_of(world.HASH, 7) > 0.8
    assert policy.f_of(world.HASH, 0) < 0.01
    assert policy.f_of("nobody", 3) == 0.03


def test_u_weighs_a_raised_sampling_rate_down(store: Store):
    judge(store, month(3, every=0.1), pi1=0.02)
    judge(store, month(3, start=50, first=1, every=0.1), pi1=0.1)
    assert sorted({round(o["u"], 9) for o in table(store, "outcomes")}) == [0.2, 1.0]
    check_sums(store)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("judge"), st.integers(0, 100), st.integers(0, 8)),
        st.tuples(st.just("label"), st.integers(0, 11), st.sampled_from((True, False, None)), st.sampled_from("ab")),
        st.tuples(st.just("decide")),
    ),
    max_size=12,
)


@given(actions)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_incremental_sums_equal_a_recomputation(tmp_path_factory, script):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('s')}/store.db")
    migrate(store)
    seen = []
    for action, *rest in script:
        if action == "judge":
            one = request(len(seen), rest[0])
            seen.append(one)
            judge(store, [one], [rest[1]], labels_per_day=3)
        elif action == "label" and rest[0] < len(seen):
            label(store, [seen[rest[0]]], rest[1], rest[2], confirmations=2)
        elif action == "decide":
            decide_all(store)
    check_sums(store)
    assert sum(r["items"] for r in table(store, "rate_sums")) == len(seen)

    store.close()


def test_workers_and_reviewers_at_once(store: Store):
    requests = month(60, every=0.2)
    with store.write() as tx:
        ingest(tx, requests)
    with ThreadPoolExecutor(4) as pool:
        portions = [requests[:40], requests[20:], requests[::2], requests[::-1]]
        routed = list(pool.map(lambda part: retry_conflicts(commit, store, part), portions))
    assert sorted(name for r in routed for name in r.final) == [r.request_id for r in requests]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: retry_conflicts(label, store, requests, True, who, 2), ["ann", "ben", "eve", "ann"]))
    assert {o["y"] for o in table(store, "outcomes")} == {1}
    assert len(table(store, "labels")) == 180
    check_sums(store)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: retry_conflicts(decide_all, store), range(4)))
    assert len(table(store, "incidents")) == len(table(store, "outbox")) == 1


def test_the_label_of_a_late_record_moves_the_block_it_is_tested_in(store: Store):
    judge(store, month(5, first=30, every=0.1))
    decide_all(store)
    late = month(3, start=100, first=20, every=0.1)
    judge(store, late)
    label(store, late, True)
    check_sums(store)
