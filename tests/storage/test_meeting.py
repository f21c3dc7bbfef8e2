"""What two workers do at the same time on PostgreSQL, each having read what the other one changes."""

from functools import partial
from typing import Any

import msgspec
import pytest

from pipelines.sampling import Sampler, prepare
from pipelines.scan import Scanner
from tests.alerts.world import at, before, breach, traffic
from tests.service.world import NOW, OLD, ingest, judge, label, objective, request, routing, table, verdict
from tests.support.ingest import KEY, Now, begin
from tests.support.logs import NOON, line
from tests.support.meeting import lock_tables, meet
from tidegauge.alerts.event import rollback_body
from tidegauge.config import CanarySection, MatchSection, RollbackSection
from tidegauge.domain import DAY, HOUR, Block, Request
from tidegauge.prices import Prices
from tidegauge.service import canary, gold_runs, incidents, rollbacks, route
from tidegauge.service.decide import behind, decide
from tidegauge.service.policy import refresh
from tidegauge.storage import ledger, sampling
from tidegauge.storage.commits import commit_block
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.store import Row, Store, Transaction
from tidegauge.storage.verdicts import commit_verdicts

pytestmark = pytest.mark.postgresql


def check(store: Store, terms: RollbackSection, now: int) -> None:
    with store.write() as tx:
        rollbacks.check(tx, terms, now)


def what(store: Store) -> list[str]:
    return [row["what"] for row in table(store, "incident_events")]


@pytest.mark.parametrize(("hours", "end"), [(2.0, ["undelivered"]), (5.0, ["verified", "restored_rate"])])
def test_two_that_see_the_same_of_a_rollback_say_it_once(pg: Store, hours: float, end: list[str]) -> None:
    before(pg)
    breach(pg)
    terms = RollbackSection(mode="auto")
    with pg.write() as tx:
        rollbacks.release(tx, terms, rollback_body, at(13))
    if "verified" in end:
        traffic(pg, 14, OLD, n=200)
    look = partial(check, terms=terms, now=at(13 + hours))
    assert meet(pg, lock_tables("incidents"), look, look) == []
    assert what(pg) == ["breach", "approved", "sent", *end]


def test_two_that_give_an_approval_up_do_it_once(pg: Store) -> None:
    breach(pg, mode="approve")
    look = partial(check, terms=RollbackSection(mode="approve"), now=at(13 + 25))
    assert meet(pg, lock_tables("incidents"), look, look) == []
    assert what(pg) == ["breach", "failed"]
    assert [row["kind"] for row in table(pg, "tickets")] == ["rollback_failed"]


def test_what_a_person_ends_meanwhile_is_not_sent(pg: Store) -> None:
    incident: Any = breach(pg)

    def give_up(tx: Any) -> None:
        row = next(row for row in tx.rows("incidents_in_stages", stages=["proposed"]))
        rollbacks.fail(tx, row, "not approved", at(14))

    def release(store: Store) -> None:
        with store.write() as tx:
            rollbacks.release(tx, RollbackSection(mode="auto"), rollback_body, at(14))

    assert meet(pg, give_up, release) == []
    assert [(row["incident"], row["stage"]) for row in table(pg, "incidents")] == [(incident, "failed")]


def planned(store: Store, generation: str) -> Block:
    with store.write() as tx:
        ledger.insert_generation(tx, Generation(generation, "s", generation, "plain", "", Identity(), 0, 0, "live"), 0)
        ledger.plan_ranges(tx, generation, 0, [10], Identity(planned_to=10), NOON)
    return Block(
        generation=generation, source="s", path=generation, encoding="plain", start=0, stop=10, planned_at=NOON
    )


def commit(store: Store, block: Block, hour: int) -> None:
    """A block of one request, always the same one, at a time that differs."""
    with store.read() as tx:
        sampler = Sampler(sampling.plans(tx), KEY)
    time = f"2026-11-01T{hour:02}:00:00Z"
    copy = line(request_id="r-1", intent="refunds", timestamp=time, tenant=f"t-{hour}")  # no rollup rows in common
    result = Scanner(Prices(())).scan([copy + b"\n"], NOON + DAY, sampler)
    with store.write() as tx:
        commit_block(tx, block, result, None, NOON)


def sampled(store: Store) -> dict[int, tuple[int, int]]:
    """Samples and final ones of the 6-hour blocks that have any, by the hour of their begin."""
    return {
        c["block"] * 6 % 24: (c["sampled"], c["final"]) for c in table(store, "cells") if c["sampled"] or c["final"]
    }


def lock_sample(tx: Transaction) -> None:
    tx.rows("lock_samples", ids=["r-1"])


def hour_of(sample: Row) -> int:
    return int(sample["timestamp"] // HOUR % 24)


def test_a_copy_replaces_no_sample_that_is_judged_meanwhile(pg: Store) -> None:
    begin(pg)
    commit(pg, planned(pg, "g1"), 12)
    other = planned(pg, "g2")
    with pg.read() as tx:
        payload = tx.rows("sample_payloads", ids=["r-1"])[0]["payload"]
    judged = verdict(msgspec.json.decode(bytes(payload), type=Request))
    copy = partial(commit, block=other, hour=5)
    assert meet(pg, lock_sample, copy, then=lambda tx: commit_verdicts(tx, [judged], NOON)) == []
    (sample,) = table(pg, "samples")
    assert (hour_of(sample), sample["state"], sample["conflicting"]) == (12, "judged", 1)
    assert sampled(pg) == {12: (1, 1)}


def test_of_two_copies_that_come_at_once_the_least_stands_and_is_counted_once(pg: Store) -> None:
    begin(pg)
    commit(pg, planned(pg, "g1"), 19)
    jobs = [partial(commit, block=planned(pg, f"h{hour}"), hour=hour) for hour in (5, 7, 13)]
    assert meet(pg, lock_sample, *jobs) == []
    (sample,) = table(pg, "samples")
    assert hour_of(sample) == 5
    assert sampled(pg) == {0: (1, 0)}
    assert [(row["sampled"], row["repeats"]) for row in table(pg, "tallies")] == [(1, 3)]


def test_two_first_runs_make_one_key(pg: Store) -> None:
    keys = []

    def first_run(store: Store) -> None:
        keys.append(prepare(store, Now(), 0.02, None, print))

    assert meet(pg, lock_tables("meta"), first_run, first_run) == []
    assert len(set(keys)) == 1
    assert len(table(pg, "sampling_plans")) == 1


@pytest.mark.parametrize("historical", [False, True])
def test_two_that_see_a_canary_breach_open_one_incident(pg: Store, historical: bool) -> None:
    section = CanarySection(name="c", canary=MatchSection(cohort="canary"), intent="refunds", owner="payments")
    arms = [(hour, cohort) for hour in range(24) for cohort in ("canary", "stable") for _ in range(20)]
    with pg.write() as tx:
        ingest(tx, [request(n, hour, cohort=cohort) for n, (hour, cohort) in enumerate(arms)])
        tx.script(
            "UPDATE rollup_5m SET errors = requests"
            " WHERE segment IN (SELECT segment FROM segments WHERE cohort = 'canary')"
        )
        if historical:
            ingest(tx, [request(99_999, 80, OLD, intent="other")])
    seen = []

    def look(store: Store) -> None:
        with store.read() as tx:
            looked = canary.look(tx, [section], NOW)
        with store.write() as tx:
            seen.extend(canary.keep(tx, looked, lambda intent: "dry_run", rollback_body, NOW))

    assert meet(pg, lock_tables("canaries"), look, look) == []
    assert len(seen) == 1
    assert what(pg) == ["breach.historical" if historical else "breach"]


def test_a_judge_may_say_any_text_of_itself(pg: Store) -> None:
    asked = request(1)
    found = verdict(asked)
    (score,) = found.scores
    found = msgspec.structs.replace(found, scores=(msgspec.structs.replace(score, answered_by="m\0x@host"),))
    with pg.write() as tx:
        ingest(tx, [asked])
        commit_verdicts(tx, [found], NOW)
        gold_runs.keep_identities(tx, [found], NOW)
    (kept,), (identity,) = table(pg, "verdicts"), table(pg, "judge_identities")
    assert kept["answered_by"] == identity["identity"] == "m\ufffdx@host"


def test_first_verdicts_of_two_episodes_that_come_at_once_open_two_tests(pg: Store) -> None:
    early, late = request(1, hours=1), request(2, hours=100)
    with pg.write() as tx:
        ingest(tx, [early, late])
        policies = refresh(tx, [objective()], NOW)

    def judged(store: Store, asked: Request) -> None:
        with store.write() as tx:
            route.commit_verdicts(tx, [verdict(asked)], policies, routing(), NOW)

    jobs = [partial(judged, asked=asked) for asked in (early, late)]
    assert meet(pg, lock_tables("test_keys"), *jobs) == []
    keys = {row["test_key"]: row for row in table(pg, "test_keys")}
    assert sorted(row["episode"] for row in keys.values()) == [0, 1]
    for row in table(pg, "outcomes"):
        key = keys[row["test_key"]]
        asked = early if row["request_id"] == early.request_id else late
        assert key["first_at"] == key["last_at"] == asked.timestamp


def in_breach(store: Store, hours: float, first: int) -> str:
    """A test whose evidence is behind a breach that nobody has decided yet."""
    requests = [request(first + n, hours + n / 10) for n in range(30)]
    judge(store, requests)
    label(store, requests, True)
    with store.read() as tx:
        (key,) = behind(tx, 0)
    return key


def decided(store: Store, key: str, hours: float) -> None:
    with store.write() as tx:
        decide(tx, key, "dry_run", rollback_body, at(hours))


def test_two_breaches_that_join_an_incident_at_once_are_both_in_its_history(pg: Store) -> None:
    breach(pg, 10, mode="dry_run")
    keys = [in_breach(pg, 60, 90_000)]
    with pg.write() as tx:
        tx.script("UPDATE test_keys SET decided_version = version")
    keys.append(in_breach(pg, 120, 91_000))
    jobs = [partial(decided, key=key, hours=123) for key in keys]
    assert meet(pg, lock_tables("incident_events"), *jobs) == []
    assert what(pg) == ["breach", "joined", "joined"]
    assert [row["sequence"] for row in table(pg, "incident_events")] == [1, 2, 3]


def test_two_breaches_of_one_deployment_at_once_open_one_incident(pg: Store) -> None:
    keys = [in_breach(pg, 10, 90_000)]
    with pg.write() as tx:
        tx.script("UPDATE test_keys SET decided_version = version")
    keys.append(in_breach(pg, 60, 91_000))
    jobs = [partial(decided, key=key, hours=63) for key in keys]
    assert meet(pg, lock_tables("incidents"), *jobs) == []
    assert sorted(what(pg)) == ["breach", "joined"]
    assert len(table(pg, "incident_keys")) == 2


def test_a_breach_that_finds_its_incident_closed_meanwhile_opens_another(pg: Store) -> None:
    breach(pg, 10, mode="dry_run")
    key = in_breach(pg, 60, 90_000)
    (open_,) = table(pg, "incidents")

    def close(tx: Transaction) -> None:
        incidents.cancel(tx, open_["incident"], "ann", "no breach", at(63))

    late = partial(decided, key=key, hours=63)
    assert meet(pg, lambda tx: tx.rows("lock_incident", incident=open_["incident"]), late, then=close) == []
    assert what(pg) == ["breach", "cancelled", "breach"]
