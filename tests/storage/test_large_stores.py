"""What is asked on each tick does not look at more the more there is in the store."""

import random
from typing import Any

import pytest

from tests.support.effort import effort, know_sizes
from tests.support.logs import NOON
from tidegauge.domain import Deployment, Request
from tidegauge.storage import ledger
from tidegauge.storage.commits import _encode
from tidegauge.storage.ledger import NEVER, Claim
from tidegauge.storage.store import Row, Store

FEW, MANY = 1_000, 8_000
OFTEN = 2
"""Times the effort that eight times the rows may take: trees get deeper, and pages fuller."""

DEPLOYMENT = Deployment(model_version="m", prompt_version="p", retrieval_index="i")
HELD = Claim("one", "now", ["one", "two"], NOON)


def sample(n: int, rng: random.Random, **changes: Any) -> Row:
    name = f"r-{rng.getrandbits(64):016x}"
    request = Request(request_id=name, timestamp=NOON, intent="i", deployment=DEPLOYMENT)
    return {
        "request_id": name,
        "sha256": "",
        "timestamp": NOON + rng.randrange(FEW),
        "intent": f"intent.{n % 5}",
        "deployment": "d",
        "served_by": "primary",
        **dict.fromkeys(("tenant", "feature", "cohort", "experiment", "provider"), ""),
        "pi1": 1.0,
        "plan": 1,
        "payload": _encode(request),
        "owner": None,
        "sweep": "",
        "free_at": 0,
        "generation": "g",
        "block_start": 0,
        "ingested_at": NOON,
    } | changes


def fill(store: Store, rows: list[Row]) -> None:
    with store.write() as tx:
        tx.bulk("insert_sample", rows)
    know_sizes(store)


CLAIM = {"most": 50, "ingested_by": NEVER, **HELD.values()}
FREE = {"sweep": "now", "live": ["one"], "now": NOON, "horizon": NOON + 1, "never": NEVER, "ingested_by": NEVER}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("claim_oldest_samples", CLAIM),
        ("claim_newest_samples", CLAIM),
        ("count_free_samples", FREE | {"most": 50}),
        ("count_samples_in_work", {"live": ["one", "two"], "now": NOON}),
        ("release_samples", {"owner": "one", "sweep": "now"}),
        ("keep_samples", {"ids": ["r-1", "r-2"], "owner": "one", "until": NOON}),
        ("finish_samples", {"ids": ["r-1", "r-2"]}),
    ],
)
def test_work_is_taken_and_given_back_without_a_look_at_all_that_waits(
    store: Store, query: str, values: dict[str, Any]
) -> None:
    rng = random.Random(1)
    fill(store, [sample(n, rng) for n in range(FEW)])
    few = effort(store, query, **values)
    fill(store, [sample(n, rng) for n in range(MANY - FEW)])
    assert effort(store, query, **values) <= OFTEN * few + 20


def free(row: Row) -> bool:
    """Whether a pending sample may be taken, as `Claim` says it."""
    held = row["owner"] in HELD.live and row["free_at"] > NOON and not row["free_at"] < NEVER
    return row["sweep"] != HELD.sweep and not (row["owner"] is None and row["free_at"] > NOON) and not held


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_taken_is_the_first_of_all_that_is_free_in_order(store: Store, seed: int, newest_first: bool) -> None:
    rng = random.Random(seed)
    rows = [
        sample(
            n,
            rng,
            timestamp=NOON + rng.randrange(40),
            owner=rng.choice(["one", "two", "gone"]),
            sweep=rng.choice(["", "now", "before"]),
            free_at=rng.choice([0, NOON - 1, NOON, NEVER]),
        )
        for n in range(300)
    ]
    fill(store, rows)
    wanted = sorted(
        filter(free, rows), key=lambda r: (-r["timestamp"] if newest_first else r["timestamp"], r["request_id"])
    )
    with store.write() as tx:
        taken = ledger.claim_samples(tx, HELD, 60, newest_first=newest_first)
        assert ledger.count_free_samples(tx, "then", [], NOON, most=7) == 7
    assert {one.request.request_id for one in taken} == {row["request_id"] for row in wanted[:60]}
