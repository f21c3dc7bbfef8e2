"""Judges that change are not believed, and what that does; stops; gold cases drawn and answered."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.service.sums import month, rows
from tests.service.world import HASH, NOW, decide_all, ingest, judge, label, request, table
from tests.support.ingest import Now
from tidegauge.alerts.act import act
from tidegauge.config import Config
from tidegauge.domain import DAY, HOUR, TEST_BLOCK, UNSCORED_BIN, EvaluationState, Objective, Score, Verdict
from tidegauge.errors import UsageError
from tidegauge.service import gold, gold_runs, health, interlock, stops, tickets
from tidegauge.service.policy import refresh
from tidegauge.storage.store import Store, Transaction


def add_gold(store: Store, positives: int = 10, negatives: int = 10) -> None:
    lines = [
        json.dumps({"response": f"answer {n}", "hallucinated": n < positives, "reviewer": who})
        for n in range(positives + negatives)
        for who in ("ann", "bob")
    ]
    with store.write() as tx:
        gold.add(tx, lines, NOW - 90 * DAY)


def answer(store: Store, days: int, missed: float, accused: float = 0.05, start: int = NOW - 60 * DAY, seed: int = 1):
    """A judge that answers 40 gold cases a day."""
    rng = random.Random(seed)
    for hour in range(0, 24 * days, 6):
        now = start + hour * HOUR
        with store.write() as tx:
            drawn = gold_runs.draw(tx, 160, now)
            truths = {row["run"]: row["truth"] for row in _runs(store, tx)}
            found = []
            for request in drawn:
                truth = truths[request.request_id.removeprefix(gold_runs.MARK)]
                wrong = rng.random() < (missed if truth else accused)
                found.append(_said(request.request_id, bool(truth) != wrong))
            gold_runs.keep_answers(tx, found, now)
            gold_runs.keep_identities(tx, found, now)


def _runs(store: Store, tx: Any) -> list[dict]:
    import sqlalchemy as sa

    return [dict(row) for row in tx._connection.execute(sa.text("SELECT run, truth FROM gold_runs")).mappings()]


def _said(name: str, hallucinated: bool, identity: str = "m-1@host fp-1") -> Verdict:
    score = Score(
        evaluator="judge",
        version="1",
        content_hash=HASH,
        score=float(hallucinated),
        label="hallucinated" if hallucinated else "faithful",
        confidence=0.9,
        reason="",
        asks=True,
        answered_by=identity,
    )
    return Verdict(request_id=name, state=EvaluationState.JUDGED, scores=(score,), decided_by=0, bin=0)


def watch(store: Store, now: int = NOW) -> list[interlock.Trip]:
    with store.write() as tx:
        return interlock.watch(tx, lambda name: f"owner of {name}", now)


def trip(store: Store) -> None:
    with store.write() as tx:
        tx.run("trip_interlock", evaluator_hash=HASH, tripped_at=NOW, evaluator="judge", kind="gold", evidence="{}")


def test_gold_cases_take_turns_and_come_at_their_rate(store: Store) -> None:
    add_gold(store, positives=2, negatives=5)
    with store.write() as tx:
        first = gold_runs.draw(tx, 40, NOW)
        again = gold_runs.draw(tx, 40, NOW)
        later = gold_runs.draw(tx, 40, NOW + 3 * HOUR)
        much_later = gold_runs.draw(tx, 40, NOW + 10 * DAY)
    assert (len(first), len(again), len(later), len(much_later)) == (10, 0, 5, 10)
    truths = [row["truth"] for row in sorted(table(store, "gold_runs"), key=lambda row: row["ordinal"])]
    assert truths == [1, 0] * 12 + [1]
    assert table(store, "samples") == []


@pytest.mark.parametrize(("per_day", "drawn"), [(3, 30), (4, 40), (6, 60), (0.5, 5), (0, 0)])
def test_a_few_cases_a_day_come_at_their_rate_too(store: Store, per_day: float, drawn: int) -> None:
    add_gold(store)
    with store.write() as tx:
        found = [gold_runs.draw(tx, per_day, NOW + n * DAY // 240) for n in range(10 * 240)]
    assert sum(map(len, found)) == pytest.approx(drawn, abs=1)
    assert max(map(len, found)) <= max(1, per_day / 4)


def test_cases_that_are_not_confirmed_are_not_drawn(store: Store) -> None:
    with store.write() as tx:
        gold.add(tx, [json.dumps({"response": "a", "hallucinated": True, "reviewer": "ann"})], NOW)
        assert gold_runs.draw(tx, 40, NOW) == []


def test_new_cases_join_when_they_have_doubled_the_old_ones(store: Store) -> None:
    add_gold(store, 2, 2)
    with store.write() as tx:
        gold_runs.draw(tx, 40, NOW)
    add_gold(store, 3, 4)
    with store.write() as tx:
        gold_runs.draw(tx, 40, NOW + DAY)
    assert len(table(store, "gold_streams")) == 1
    add_gold(store, 4, 4)
    with store.write() as tx:
        gold_runs.draw(tx, 40, NOW + 2 * DAY)
    assert [len(json.loads(row["cases"])) for row in table(store, "gold_streams")] == [4, 8]


def test_a_judge_that_misses_more_trips_the_interlock_and_is_trusted_again(store: Store) -> None:
    add_gold(store)
    answer(store, days=6, missed=0.2)
    assert watch(store) == []
    answer(store, days=3, missed=0.7, start=NOW - 40 * DAY, seed=2)
    (tripped,) = watch(store)
    assert (tripped.kind, tripped.evidence["measure"]) == ("gold", "sensitivity")
    assert tripped.evidence["lately"] < 0.5 < tripped.evidence["before"]
    assert watch(store) == []
    with store.read() as tx:
        (row,) = interlock.health_rows(tx)
        (ticket,) = tickets.ticket_rows(tx)
    assert (row["state"], row["why"]["kind"]) == ("interlocked", "gold")
    assert row["specificity"]["lo"] > 0.8 > row["sensitivity"]["est"]
    assert (ticket["kind"], ticket["owner"], ticket["state"]) == ("judge_interlock", "owner of judge", "open")
    with store.write() as tx:
        assert interlock.trust(tx, "judge", "ann", "the provider rolled back", NOW + HOUR) == 1
        assert interlock.distrusted(tx) == {}
        assert tickets.ticket_rows(tx)[0]["state"] == "closed"
        with pytest.raises(UsageError, match="no interlock is on"):
            interlock.trust(tx, "judge", "ann", "again", NOW + HOUR)
    assert watch(store, NOW + 2 * HOUR) == []


def test_another_model_behind_the_same_name_trips_it(store: Store) -> None:
    with store.write() as tx:
        for n in range(60):
            gold_runs.keep_identities(tx, [_said(f"r-{n}", False)], NOW)
            gold_runs.keep_identities(tx, [_said(f"r-{n}", False)], NOW + TEST_BLOCK)
    assert watch(store) == []
    with store.write() as tx:
        for n in range(40):
            gold_runs.keep_identities(tx, [_said(f"s-{n}", False, "m-1@host fp-2")], NOW + 2 * TEST_BLOCK)
    assert watch(store) == []  # 40 of its last 100
    with store.write() as tx:
        for n in range(40):
            gold_runs.keep_identities(tx, [_said(f"t-{n}", False, "m-2@host")], NOW + 3 * TEST_BLOCK)
    (tripped,) = watch(store)
    assert tripped.kind == "identity"
    assert tripped.evidence["now"] == ["m-1@host fp-2", "m-2@host"]


def test_unscored_answers_trip_it_and_a_day_without_them_releases_it(store: Store) -> None:
    requests = month(100, every=0.2)
    with store.write() as tx:
        gold_runs.keep_identities(tx, [_said("r", False)], NOW)
    judge(store, requests, bins=[UNSCORED_BIN] * 60 + [0] * 40)
    (tripped,) = watch(store)
    assert (tripped.kind, tripped.evidence["unscored"]) == ("unscored", 60)
    judge(store, month(60, start=2000, first=96, every=0.5))
    assert watch(store, NOW + DAY) == []
    with store.read() as tx:
        assert interlock.distrusted(tx) == {}


def test_samples_that_no_judge_comes_to_are_told_of_the_judges_in_use_only(store: Store) -> None:
    def answers(name: str, evaluator: str, at: int) -> None:
        row = {"evaluator_hash": name, "evaluator": evaluator, "block": at // TEST_BLOCK}
        with store.write() as tx:
            tx.run("add_judge_identity", **row, identity="m-1@host", answers=60)

    for n in range(4):
        answers(f"judge-{n}", "judge", NOW - (8 - 2 * n) * HOUR)
    answers("judge-4", "judge", NOW)
    answers("second", "second", NOW - DAY)
    answers("removed", "removed", NOW - 30 * DAY)
    with store.write() as tx:
        ingest(tx, month(100, every=0.2))
    judge(store, [month(1, start=2000, first=48)[0]])
    assert {(trip.evaluator_hash, trip.kind) for trip in watch(store)} == {
        ("judge-4", "coverage"),
        ("second", "coverage"),
    }


def test_while_it_is_on_items_are_routed_as_if_no_judge_were_known(store: Store) -> None:
    warm = month(300, every=0.1)
    judge(store, warm, bins=[7 if n % 10 == 0 else 0 for n in range(300)])
    label(store, warm[::10], True)
    label(store, [r for n, r in enumerate(warm) if n % 10], False)
    objective = {"labels_per_day": 20, "theta0": 0.03}
    before = month(40, start=1000, first=50, every=0.1)
    judge(store, before, bins=[7, 0] * 20, **objective)
    trip(store)
    after = month(40, start=2000, first=76, every=0.1)
    judge(store, after, bins=[7, 0] * 20, **objective)
    frozen = {row["request_id"]: row for row in table(store, "outcomes")}
    believed = {(frozen[r.request_id]["f"], frozen[r.request_id]["pi"]) for r in before}
    assert len(believed) == 2
    with store.write() as tx:
        r = refresh(tx, [Objective(intent="refunds", **objective)], NOW)["refunds"].r
    assert [frozen[q.request_id]["pi"] for q in after] == pytest.approx([r] * 40, rel=0.2)
    assert {frozen[q.request_id]["f"] for q in after} == {0.03}


def test_while_it_is_on_flags_alone_raise_no_ticket(store: Store) -> None:
    trip(store)
    judge(store, month(200, every=0.1), bins=[7] * 200)
    assert decide_all(store)[0].escalation is None
    assert [row["kind"] for row in table(store, "tickets")] == []


def test_while_it_is_on_people_s_labels_still_breach(store: Store) -> None:
    trip(store)
    bad = month(60, every=0.1)
    judge(store, bad)
    label(store, bad[:20], True)
    assert [d.breach for d in decide_all(store)] == [True]


def test_a_stopped_intent_is_not_decided_until_the_stop_ends(store: Store) -> None:
    bad = month(60, every=0.1)
    judge(store, bad)
    label(store, bad[:20], True)
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the log is broken", NOW + HOUR, NOW - HOUR)
    assert decide_all(store) == []
    assert rows(store)[0]["state"] == "ok"
    with store.write() as tx:
        assert stops.lift(tx, "refunds", "bob", NOW) == 1
        (row,) = stops.stop_rows(tx, NOW)
    assert (row["in_force"], row["lifted_by"]) == (False, "bob")
    assert [d.breach for d in decide_all(store)] == [True]


def test_a_stop_ends_by_itself_and_needs_a_reason(store: Store) -> None:
    with store.write() as tx:
        stops.stop(tx, "*", "ann", "maintenance", NOW + HOUR, NOW)
        assert stops.is_stopped(stops.stopped(tx, NOW), "any intent")
        assert stops.stopped(tx, NOW + HOUR) == {}
        with pytest.raises(UsageError, match="why"):
            stops.stop(tx, "refunds", "ann", " ", None, NOW)
        with pytest.raises(UsageError, match="before it begins"):
            stops.stop(tx, "refunds", "ann", "why", NOW, NOW)
        with pytest.raises(UsageError, match="no stop is in force"):
            stops.lift(tx, "refunds", "ann", NOW + HOUR)


def contradicted(store: Store) -> None:
    """A month of faithful answers, then a day of which many are not."""
    with store.write() as tx:
        tx.run("register_artifact", kind="evaluator", name="judge", version="1", content_hash=HASH, now=NOW)
    warm = month(200, every=0.1)
    judge(store, warm)
    label(store, warm, False)
    changed = month(100, start=1000, first=30, every=0.1)
    judge(store, changed)
    label(store, changed[:40], True)
    label(store, changed[40:], False)


def test_labels_that_contradict_the_scores_are_the_judge_owner_s_ticket(store: Store) -> None:
    contradicted(store)
    with store.write() as tx:
        health.check(tx, lambda intent: "payments", lambda name: f"owner of {name}", NOW)
        (found,) = [t for t in tickets.ticket_rows(tx) if t["kind"] == "judge_drift"]
    assert (found["owner"], found["subject"]["evaluator"]) == ("owner of judge", "judge")
    assert found["evidence"]["surprise"] > 20


def test_the_ticket_about_a_judge_s_scores_ends_with_the_judge(store: Store) -> None:
    contradicted(store)
    for days, state in ((0, "open"), (60, "closed")):
        with store.write() as tx:
            ingest(tx, [request(5000 + days, 41 + 24 * days)])
            health.check(tx, lambda intent: "payments", lambda name: f"owner of {name}", NOW)
            assert [t["state"] for t in tickets.ticket_rows(tx) if t["kind"] == "judge_drift"] == [state]


class Watched(Store):
    """A store that remembers how often gold answers were read while somebody could wait for it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.looks = 0

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.looks += "FROM gold_answers" in statement

        with super().write() as tx:
            sa.event.listen(tx._connection, "before_cursor_execute", count)
            try:
                yield tx
            finally:
                sa.event.remove(tx._connection, "before_cursor_execute", count)


def test_nobody_waits_for_a_look_at_all_gold_answers_but_for_a_judge_that_has_changed(
    store: Store, store_url: str
) -> None:
    add_gold(store)
    answer(store, 15, 0.25)
    watched = Watched(store_url)
    act(watched, Config(), Now(NOW))
    assert watched.looks == 0
    answer(store, 30, 0.8, start=NOW - 40 * DAY, seed=2)
    act(watched, Config(), Now(NOW))
    assert (watched.looks, len(table(store, "interlocks"))) == (1, 1)
    act(watched, Config(), Now(NOW))
    assert (watched.looks, len(table(store, "interlocks"))) == (1, 1)
    watched.close()
