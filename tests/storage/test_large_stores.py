"""What is asked on each tick does not look at more the more there is in the store."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.effort import effort, know_sizes
from tests.support.logs import NOON
from tidegauge.domain import HALLUCINATION, TEST_BLOCK, Deployment, Encoding, Request
from tidegauge.storage import ledger, policies
from tidegauge.storage.commits import _encode
from tidegauge.storage.ledger import NEVER, Claim, Generation, Identity
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


BOUNDS = {"ingested_by": NEVER, "planned_by": NEVER}
CLAIM = {"most": 50, **BOUNDS, **HELD.values()}
FREE = {"sweep": "now", "live": ["one"], "now": NOON, "horizon": NOON + 1, "never": NEVER, **BOUNDS}


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


def cell(intent: str, deployment: str, block: int, rng: random.Random) -> Row:
    first, last = sorted(rng.sample(range(block * TEST_BLOCK, (block + 1) * TEST_BLOCK), 2))
    counts = {"requests": 9, "sampled": rng.randrange(9)}
    return {"intent": intent, "deployment": deployment, "block": block, "first_at": first, "last_at": last} | counts


def carry(store: Store, cells: list[Row]) -> None:
    with store.write() as tx:
        tx.bulk("add_cell", cells)
    know_sizes(store)


def month(deployments: int, seed: int = 1) -> list[Row]:
    rng = random.Random(seed)
    return [
        cell(f"intent.{n}", f"d-{seed}-{d}", block, rng)
        for n in range(3)
        for d in range(deployments)
        for block in range(d, d + 112)
    ]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("traffic_of_intents", {"intents": ["intent.1"], "blocks": 2}),
        ("newest_traffic", {}),
        ("newest_traffic_of_intents", {"intents": ["intent.0", "intent.2"]}),
        ("settled_cells", {"first": 4, "last": 8}),
        ("settled_samples", {"first": 4, "last": 8}),
    ],
)
def test_what_the_traffic_is_now_is_seen_without_a_look_at_all_of_it(
    store: Store, query: str, values: dict[str, Any]
) -> None:
    carry(store, month(2))
    few = effort(store, query, **values)
    later = [dict(row, block=row["block"] + 1000 * n) for n in range(1, 9) for row in month(2)]
    carry(store, later)
    assert effort(store, query, **values) <= OFTEN * few + 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 20), cells=st.integers(0, 60), blocks=st.integers(1, 30))
def test_policies_see_of_the_traffic_what_all_of_it_says(store: Store, seed: int, cells: int, blocks: int) -> None:
    rng = random.Random(seed)
    mine = [f"{seed}.{blocks}.{n}" for n in range(3)]
    places = {(rng.choice(mine), rng.choice("ab"), rng.randrange(40)) for _ in range(cells)}
    carry(store, [cell(*place, rng) for place in sorted(places)])
    with store.read() as tx:
        seen = policies.traffic(tx, [*mine[:2], "never seen"], blocks)
        newest = {r["intent"]: r["last_at"] for r in tx.rows_in("newest_traffic_of_intents", "intents", mine[:2])}
        whole: list[Row] = [dict(row) for row in tx._connection.exec_driver_sql("SELECT * FROM cells").mappings()]
        assert tx.value("newest_traffic") == max((row["last_at"] for row in whole), default=None)
    for intent in mine[:2]:
        own = [row for row in whole if row["intent"] == intent]
        found = [row for row in seen if row["intent"] == intent]
        assert newest.get(intent) == max((row["last_at"] for row in own), default=None)
        assert bool(found) is bool(own)
        if own:
            last = max(row["block"] for row in own)
            assert min(row["first_at"] for row in found) == min(row["first_at"] for row in own)
            assert max(row["last_at"] for row in found) == max(row["last_at"] for row in own)
            for block in range(last - blocks + 1, last + 1):
                wanted = sum(row["sampled"] for row in own if row["block"] == block)
                assert sum(int(row["sampled"]) for row in found if row["block"] == block) == wanted
    assert {row["intent"] for row in seen} <= set(mine[:2])


def outcome(name: str, n: int) -> Row:
    counts = {"event_block": n, "test_block": n, "bin": 0, "reviewed": 1, "spent": 0}
    terms = {"pi1": 1.0, "u": 1.0, "f": 0.1, "pi": 0.5}
    names = {"indicator": HALLUCINATION, "test_key": f"k{n % 9}", "evaluator_hash": "e", "policy": "p"}
    return {"request_id": name, **counts, **terms, **names, "why": "", "calibration": ""}


def find(store: Store, count: int, positives: int, rng: random.Random) -> None:
    rows = [sample(n, rng) for n in range(count)]
    with store.write() as tx:
        tx.run("insert_deployment", deployment="d", **msgspec.structs.asdict(DEPLOYMENT))
        tx.bulk("insert_sample", rows)
        made = [outcome(row["request_id"], n) for n, row in enumerate(rows)]
        tx.bulk("insert_outcome", made)
        labelled = {"indicator": HALLUCINATION, "y": 1, "returned": 1, "old_y": 0, "old_returned": 0}
        tx.many("settle_outcome", [labelled | {"request_id": row["request_id"]} for row in made[:positives]])
        tx.many("flag_conflicting", [{"request_id": row["request_id"]} for row in made[:positives]])
    know_sizes(store)


EVER = {"indicator": HALLUCINATION, "first": 0, "since": 0, "until": 1 << 60, "block": TEST_BLOCK}


@pytest.mark.parametrize(
    ("query", "values"),
    [("positives_by_segment", EVER), ("status_conflicting", {})],
)
def test_what_is_rare_is_found_without_a_look_at_all_of_it(store: Store, query: str, values: dict[str, Any]) -> None:
    rng = random.Random(1)
    find(store, FEW, 20, rng)
    few = effort(store, query, **values)
    find(store, MANY - FEW, 0, rng)
    assert effort(store, query, **values) <= OFTEN * few + 20
    with store.read() as tx:
        assert sum(row["positives"] for row in tx.rows("positives_by_segment", **EVER)) == 20
        assert tx.value("status_conflicting") == 20


def test_a_new_file_is_looked_up_without_a_look_at_all_of_its_source(store: Store) -> None:
    efforts = []
    for begin, end in ((0, FEW), (FEW, MANY)):
        with store.write() as tx:
            for n in range(begin, end):
                one = Generation(f"g-{n}", "logs/*", f"logs/{n}", Encoding.PLAIN, "", Identity(), 0, NOON, "live")
                ledger.insert_generation(tx, one, NOON)
        know_sizes(store)
        efforts.append(effort(store, "generations_at", source="logs/*", path="logs/7"))
    few, many = efforts
    assert many <= OFTEN * few + 20
