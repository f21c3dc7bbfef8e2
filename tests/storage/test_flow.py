"""What waits and how fast it goes, from rows whose figures are known."""

import pytest

from tests.service.world import NOW, decide_all, judge, request
from tidegauge.domain import MINUTE, SECOND
from tidegauge.storage import flow, ledger, streams
from tidegauge.storage.flow import BOUNDS, MOST_PLACES, Gap, Look, Use
from tidegauge.storage.ledger import Generation, Identity, Owner
from tidegauge.storage.store import Store


def read(store: Store, now: int = NOW) -> dict:
    with store.read() as tx:
        return flow.flow(tx, now)


def plan(store: Store, source: str, encoding: str, cuts: list[int], at: int) -> None:
    generation = Generation(source, source, "p", encoding, "", Identity(), 0, 0, "live")
    with store.write() as tx:
        ledger.insert_generation(tx, generation, at)
        ledger.plan_ranges(tx, source, 0, cuts, Identity(planned_to=cuts[-1]), at)


def test_an_empty_store_waits_for_nothing(store: Store) -> None:
    found = read(store)
    assert list(found["stages"]) == ["read", "judge", "decide", "deliver"]
    assert all(stage == {"waiting": 0, "oldest_seconds": 0} for stage in found["stages"].values())
    assert (found["sources"], found["streams"], found["workers"], found["run"]) == ({}, [], 0, None)
    assert found["judge"]["share"] is None
    assert found["timings"]["commit"]["p95_seconds"] is None


def test_each_stage_says_how_much_waits_and_since_when(store: Store) -> None:
    plan(store, "logs/*", "plain", [10, 30], NOW - 90 * SECOND)
    plan(store, "kafka:g", "kafka", [7], NOW - 30 * SECOND)
    judge(store, [request(n) for n in range(3)], bins=[7, 7, 7])
    with store.write() as tx:
        tx.script("UPDATE samples SET state = 'pending' WHERE request_id = 'r-00001'")
    stages = read(store, NOW + 5 * SECOND)["stages"]
    assert stages["read"] == {"waiting": 3, "oldest_seconds": 95}
    assert stages["judge"] == {"waiting": 1, "oldest_seconds": 5}
    assert stages["decide"] == {"waiting": 1, "oldest_seconds": 5}
    sources = read(store)["sources"]
    assert (sources["logs/*"]["planned"], sources["logs/*"]["unit"]) == (30, "bytes")
    assert (sources["kafka:g"]["planned"], sources["kafka:g"]["unit"]) == (7, "offsets")
    assert sources["kafka:g"]["oldest_seconds"] == 30


def test_a_test_waits_from_its_first_undecided_evidence_on(store: Store) -> None:
    judge(store, [request(1)])
    decide_all(store)
    assert read(store, NOW + MINUTE)["stages"]["decide"]["waiting"] == 0
    judge(store, [request(2)])
    with store.write() as tx:
        tx.script(f"UPDATE test_keys SET behind_since = {NOW - MINUTE}")
    judge(store, [request(3)])
    assert read(store)["stages"]["decide"] == {"waiting": 1, "oldest_seconds": 60}
    with store.write() as tx:
        tx.run("insert_stop", intent="*", made_at=NOW, who="ann", why="holiday", until=None)
    assert read(store)["stages"]["decide"]["waiting"] == 0


def test_throughput_is_of_the_last_minute(store: Store) -> None:
    judge(store, [request(n) for n in range(6)])
    plan(store, "logs/*", "plain", [10, 20], NOW - 5 * MINUTE)
    with store.write() as tx:
        for start, at in ((0, NOW - SECOND), (10, NOW - 2 * MINUTE)):
            tx.script(f"UPDATE blocks SET state = 'done', records = 600, done_at = {at} WHERE start = {start}")
    found = read(store)["throughput"]
    assert found == {"records_a_second": 10, "verdicts_a_second": 0.1, "judge_calls_a_second": 0}
    assert read(store, NOW + 2 * MINUTE)["throughput"]["verdicts_a_second"] == 0


def test_live_workers_and_their_judges_count_and_the_dead_do_not(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "j", "prism", NOW - MINUTE)
        for name, beat, job in (("a", NOW, "j"), ("b", NOW, "j"), ("c", NOW, ""), ("d", NOW - MINUTE, "j")):
            ledger.beat(tx, Owner(name, "elsewhere", 1, 0.0, job), beat)
            flow.note_use(tx, name, Use(10, 64))
    found = read(store)
    assert found["workers"] == 3
    assert found["judge"] == {"in_flight": 30, "at_once": 192, "share": 30 / 192}
    (stream,) = found["streams"]
    assert (stream["workers"], stream["submitted_seconds"], stream["last_tick"]) == (2, 60, None)


def test_ticks_are_counted_and_go_with_their_stream(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "j", "prism", NOW - MINUTE)
        flow.note_tick(tx, Look("j", 1.0, 0.2, {"kafka:g": "no broker", "b": "gone"}), NOW - 3 * SECOND)
        flow.note_tick(tx, Look("j", 1.0, 0.25, {}), NOW - 2 * SECOND)
        flow.note_tick(tx, Look("", 0.0, 0.1, {"b": "gone"}), NOW)
    found = read(store)
    wanted = {"age_seconds": 2, "every_seconds": 1, "took_seconds": 0.25, "ticks": 2, "errors": 1, "error": ""}
    assert found["streams"][0]["last_tick"] == wanted
    assert (found["run"]["errors"], found["run"]["error"]) == (1, "b: gone")
    with store.write() as tx:
        streams.end(tx, "j")
    with store.read() as tx:
        assert tx.value("flow_streams") is None
    with store.write() as tx:
        streams.submit(tx, "j", "prism", NOW)
    assert read(store)["streams"][0]["last_tick"] is None


def test_gaps_are_replaced_by_the_next_look_and_are_bounded(store: Store) -> None:
    with store.write() as tx:
        flow.note_lag(tx, "s", [Gap(f"p{n:04}", n + 1, "bytes") for n in range(MOST_PLACES + 50)], NOW)
    row = read(store)["sources"]["s"]
    amount = MOST_PLACES + 50
    assert (row["behind"], row["places_behind"]) == (amount * (amount + 1) // 2, MOST_PLACES + 1)
    with store.write() as tx:
        flow.note_lag(tx, "s", [Gap("p0001", 5, "bytes")], NOW + SECOND)
    row = read(store)["sources"]["s"]
    assert (row["behind"], row["places_behind"]) == (5, 1)


def test_histograms_of_several_processes_add_up(store: Store) -> None:
    def add(kind: str, bucket: int, observations: int, total: int) -> None:
        row = {"kind": kind, "bucket": bucket, "observations": observations, "total": total, "units": 5}
        with store.write() as tx:
            flow.add_timings(tx, [row])

    add("commit", 0, 90, 90_000)
    add("commit", 0, 4, 4_000)
    add("commit", 4, 5, 400_000)
    add("commit", len(BOUNDS), 1, 40_000_000)
    found = read(store)["timings"]["commit"]
    assert (found["observations"], found["units"], found["seconds"]) == (100, 20, pytest.approx(40.494))
    assert (found["p50_seconds"], found["p95_seconds"]) == (0.005, 0.1)
