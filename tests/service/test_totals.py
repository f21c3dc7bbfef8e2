"""Running totals say what adding up all rows would."""

import random
from typing import Any

import msgspec
import pytest

from tests.service.world import NOW, ingest, request, routing, verdict
from tests.support.effort import effort, know_sizes
from tests.support.replay import totals_hold
from tidegauge.domain import EvaluationState, Score, Usage, Verdict
from tidegauge.service.route import commit_verdicts
from tidegauge.storage import ledger
from tidegauge.storage.commits import BlockResult, Commit, RollupRows, commit_block
from tidegauge.storage.ledger import NEVER, Claim, Generation, Identity
from tidegauge.storage.store import Store

FEW, MANY = 300, 2_400


def scored(one: Verdict, rng: random.Random) -> Verdict:
    """The verdict of a cascade of one to four steps, some of which ask somebody, some twice the same one."""

    def score() -> Score:
        cost = rng.choice([None, 0, 7])
        usage = Usage(calls=rng.randrange(3), input_tokens=9, output_tokens=rng.randrange(9), cost_nano_usd=cost)
        changes: dict[str, Any] = {
            "evaluator": rng.choice(["rules", "small", "judge"]),
            "score": rng.choice([None, 0.5]),
            "asks": rng.random() < 0.7,
            "answered_by": rng.choice(["", "m-1", "cache"]),
            "usage": rng.choice([None, usage]),
        }
        return msgspec.structs.replace(one.scores[0], **changes)

    scores = tuple(score() for _ in range(rng.randint(1, 4)))
    return msgspec.structs.replace(
        one,
        scores=scores,
        decided_by=rng.randrange(len(scores)),
        why=rng.choice(["sure", "last step", "shed"]),
        spent=rng.random() < 0.3,
        state=rng.choice([EvaluationState.JUDGED, EvaluationState.UNSCORED, EvaluationState.PENDING]),
    )


@pytest.mark.parametrize("seed", range(3))
def test_scores_and_decisions_are_counted_with_the_verdicts_that_stand(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    requests = [request(n, 1 + n / 100) for n in range(60)]
    with store.write() as tx:
        ingest(tx, requests)
    for _ in range(4):  # some are pending for a while, and some come twice
        found = [scored(verdict(one), rng) for one in rng.sample(requests, 40)]
        with store.write() as tx:
            commit_verdicts(tx, found, {}, routing(), NOW)
        with store.read() as tx:
            totals_hold(tx)
    with store.read() as tx:
        assert {row["evaluator"] for row in tx.rows("asked_evaluators")} == {"rules", "small", "judge"}
        assert any(row["spent"] for row in tx.rows("decisions_by_step"))


def read_blocks(store: Store, first: int, last: int) -> None:
    """Blocks of two lines, one of which is blank; each is delivered twice."""
    with store.write() as tx:
        if first == 0:
            ledger.insert_generation(tx, Generation("g", "s", "p", "plain", "", Identity(), 0, 0, "live"), NOW)
        ledger.plan_ranges(tx, "g", first, range(first + 1, last + 1), Identity(planned_to=last), NOW)
        hold = Claim("me", "s", ["me"], NOW, NEVER)
        for taken in ledger.claim_blocks(tx, hold, NEVER, last - first):
            result = BlockResult(1, 1, [], [], RollupRows([], [], [], {}, {}, {}, {}), 1, None)
            assert commit_block(tx, taken.block, result, None, NOW)[0] is Commit.WON
            assert commit_block(tx, taken.block, result, None, NOW)[0] is Commit.LOST
        totals_hold(tx)
    know_sizes(store)


@pytest.mark.parametrize("query", ["status_read", "status_blocks", "records_done", "records_read"])
def test_what_was_read_is_known_without_a_look_at_all_blocks(store: Store, query: str) -> None:
    read_blocks(store, 0, FEW)
    few = effort(store, query)
    read_blocks(store, FEW, MANY)
    assert effort(store, query) <= 2 * few + 20
    with store.read() as tx:
        assert tx.value("records_read") == MANY
