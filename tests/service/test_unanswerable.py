"""A sample that its judge cannot be asked about, while it answers others, does not hold its block up for ever."""

import dataclasses
from collections.abc import Sequence

import msgspec

from tests.service.world import HASH, NOW, ingest, objective, request, routing, table, verdict
from tidegauge.domain import MINUTE, UNSCORED_BIN, EvaluationState, Micros, Request, Verdict
from tidegauge.service import gold_runs, unanswerable
from tidegauge.service.rate import complete_to
from tidegauge.service.route import commit_verdicts
from tidegauge.storage import evidence
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

ROUND = 15 * MINUTE


def answered(r: Request) -> Verdict:
    found = verdict(r)
    return msgspec.structs.replace(found, scores=(msgspec.structs.replace(found.scores[0], answered_by="m@host"),))


def failed(r: Request) -> Verdict:
    found = verdict(r, UNSCORED_BIN, EvaluationState.PENDING)
    silent = msgspec.structs.replace(found.scores[0], score=None, label=None, reason="pending: it hung")
    return msgspec.structs.replace(found, scores=(silent,), reason=silent.reason)


def tick(store: Store, number: int, good: Sequence[Request], bad: Sequence[Request], every: int = ROUND) -> None:
    now = NOW + number * every
    with store.write() as tx:
        ingest(tx, good)
        found = [*map(answered, good), *map(failed, bad)]
        gold_runs.keep_identities(tx, found, now)
        commit_verdicts(tx, found, {}, routing(), now)


def fresh(number: int, count: int) -> list[Request]:
    return [request(1000 + number * 20 + n, 0.1) for n in range(count)]


def state_of(store: Store, r: Request) -> str:
    return {row["request_id"]: row["state"] for row in table(store, "samples")}[r.request_id]


def begin(store: Store, count: int = 1) -> list[Request]:
    poison = [request(n, 0.1) for n in range(count)]
    with store.write() as tx:
        ingest(tx, poison)
    return poison


def test_one_that_fails_where_others_are_answered_is_unscored_in_the_end_and_its_block_complete(store: Store) -> None:
    (poison,) = begin(store)
    for number in range(unanswerable.MOST - 1):
        tick(store, number, fresh(number, 5), [poison])
        assert state_of(store, poison) == "pending"
    with store.read() as tx:
        (key,) = evidence.keys(tx)
        assert complete_to(tx, key, key.first_block) < key.first_block
    tick(store, unanswerable.MOST, fresh(unanswerable.MOST, 5), [poison])
    (sample,) = [row for row in table(store, "samples") if row["request_id"] == poison.request_id]
    assert (sample["state"], sample["reason"]) == ("unscored", "judge_failed: it hung")
    (outcome,) = [row for row in table(store, "outcomes") if row["request_id"] == poison.request_id]
    assert (outcome["bin"], outcome["why"], outcome["evaluator_hash"]) == (UNSCORED_BIN, "judge_failed", HASH)
    assert outcome["pi"] > 0
    with store.read() as tx:
        (key,) = evidence.keys(tx)
        assert complete_to(tx, key, key.first_block) == key.first_block
        assert status(tx, NOW)["evaluation"]["judge_failed"] == 1


def test_while_the_judge_answers_nobody_nothing_is_given_up(store: Store) -> None:
    waiting = begin(store, 5)
    tick(store, 0, fresh(0, 20), [])
    for number in range(1, 40):
        tick(store, number, [], waiting)
    assert {state_of(store, r) for r in waiting} == {"pending"}


def test_while_it_answers_only_some_nothing_is_given_up(store: Store) -> None:
    waiting = begin(store, 10)
    for number in range(30):  # half of what is asked each time
        tick(store, number, fresh(number, 10), waiting)
        waiting = [*waiting[10:], *begun(store, number)]
    assert [r for r in table(store, "samples") if r["state"] == "unscored"] == []


def begun(store: Store, number: int) -> list[Request]:
    found = [request(5000 + number * 20 + n, 0.1) for n in range(10)]
    with store.write() as tx:
        ingest(tx, found)
    return found


def test_a_stream_that_asks_every_few_seconds_does_not_give_up_within_the_hour(store: Store) -> None:
    (poison,) = begin(store)
    for number in range(50):
        tick(store, number, fresh(number, 5), [poison], every=MINUTE)
    assert state_of(store, poison) == "pending"
    for number in range(50, 90):
        tick(store, number, fresh(number, 5), [poison], every=MINUTE)
    assert state_of(store, poison) == "unscored"


def theirs(found: Verdict) -> Verdict:
    """The same from the judge of another indicator."""
    scores = (msgspec.structs.replace(found.scores[0], evaluator="refusal-judge", content_hash="ff"),)
    return msgspec.structs.replace(found, indicator="refusal", scores=scores)


def commit_both(store: Store, new: list[Request], found: list[Verdict], now: Micros) -> None:
    """Commits verdicts of both indicators, after the requests that are new."""
    refusal = msgspec.structs.replace(objective(), indicator="refusal")
    with store.write() as tx:
        ingest(tx, new)
        gold_runs.keep_identities(tx, found, now)
        commit_verdicts(tx, found, {}, dataclasses.replace(routing(), further=lambda indicator, intent: refusal), now)


def whys_of(store: Store, request: Request) -> dict[str, str]:
    """Why each indicator's verdict of it is as it is."""
    return {r["indicator"]: r["why"] for r in table(store, "outcomes") if r["request_id"] == request.request_id}


def test_another_indicator_s_judge_may_be_the_one_that_fails(store: Store) -> None:
    (poison,) = begin(store)
    for number in range(unanswerable.MOST):
        good = fresh(number, 5)
        own = [answered(r) for r in (*good, poison)]
        found = [*own, *(theirs(answered(r)) for r in good), theirs(failed(poison))]
        commit_both(store, good, found, NOW + number * ROUND)
    assert state_of(store, poison) == "judged"
    assert whys_of(store, poison) == {"hallucination": "", "refusal": "judge_failed"}


def test_two_judges_that_both_fail_on_one_sample_do_not_wait_for_each_other(store: Store) -> None:
    (poison,) = begin(store)
    for number in range(3 * unanswerable.MOST):
        good = fresh(number, 5)
        found = [v for r in good for v in (answered(r), theirs(answered(r)))]
        if state_of(store, poison) == "pending":
            found += [failed(poison), theirs(failed(poison))]
        commit_both(store, good, found, NOW + number * ROUND)
    assert state_of(store, poison) == "unscored"
    assert whys_of(store, poison) == {"hallucination": "judge_failed", "refusal": "judge_failed"}
