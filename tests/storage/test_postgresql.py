"""What only PostgreSQL can show: bulk writes, the order of locks, timeouts, and locks between processes."""

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.postgresql import rollups, samples, verdicts
from tests.conftest import drop_schema, postgresql_url
from tests.support.ingest import Now, begin
from tidegauge.config import StoreSection
from tidegauge.domain import Block, Deployment
from tidegauge.errors import StoreConflict, StoreError, StoreUnavailable
from tidegauge.storage import bulk, ledger
from tidegauge.storage.commits import BlockResult, Commit, RollupRows, commit_block
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Row, Store, Transaction, queries, retry_conflicts

pytestmark = pytest.mark.postgresql


def scalar(store: Store, text: str) -> Any:
    with store.read() as tx:
        return tx._connection.exec_driver_sql(text).scalar_one()


def together(*jobs: Callable[[], Any]) -> list[BaseException]:
    """Runs them at once; what they raised."""
    raised: list[BaseException] = []
    ready = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> None:
        ready.wait()
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def content(store: Store, table: str) -> list[Any]:
    with store.read() as tx:
        return sorted(map(repr, tx._connection.exec_driver_sql(f"SELECT * FROM {table}")))


@pytest.mark.parametrize(
    ("query", "table", "make"),
    [
        ("insert_sample", "samples", samples),
        ("insert_verdict", "verdicts", verdicts),
        ("add_day", "rollup_day", rollups),
    ],
)
def test_rows_in_bulk_are_the_rows_one_by_one(
    url: str, pg: Store, query: str, table: str, make: Callable[[int, random.Random], list[Row]]
) -> None:
    rows = make(3 * bulk.FEW, random.Random(1))
    other_url = postgresql_url()
    other = Store(other_url)
    migrate(other)
    for portion in (rows[: 2 * bulk.FEW], rows[bulk.FEW :]):  # a part of them twice
        with pg.write() as tx:
            tx.bulk(query, portion)
        with other.write() as tx:
            tx.many(query, portion)
    assert len(content(pg, table)) == len(rows)
    assert content(pg, table) == content(other, table)
    other.close()
    drop_schema(other_url)


def test_rows_are_added_once_each_time_in_one_transaction(pg: Store) -> None:
    rows = rollups(2 * bulk.FEW, random.Random(1))
    for _ in range(2):
        with pg.write() as tx:
            tx.bulk("add_day", rows)
            tx.bulk("add_day", rows)
    assert scalar(pg, "SELECT sum(requests) FROM rollup_day") == 4 * sum(row["requests"] for row in rows)


@pytest.mark.parametrize("count", [bulk.FEW, 2 * bulk.FEW])
def test_tuples_in_the_order_of_the_parameters_are_rows_too(pg: Store, count: int) -> None:
    rows = [tuple(row.values()) for row in rollups(count, random.Random(1))]
    with pg.write() as tx:
        tx.bulk("add_day", rows)
    assert content(pg, "rollup_day") == sorted(map(repr, rows))


def test_every_statement_that_is_run_in_bulk_can_be() -> None:
    texts = queries("postgresql")
    for name in (
        "insert_quarantine",
        "add_five_minutes",
        "touch_five_minutes",
        "add_cell",
        "add_tally",
        "add_rate_sums",
    ):
        merge = bulk.merge_of(name, str(texts[name].text))
        assert ":" not in merge.merge
        assert merge.columns
    with pytest.raises(StoreError, match="INSERT"):
        bulk.merge_of("finish_block", str(texts["finish_block"].text))


def test_a_row_that_does_not_fit_says_so_and_writes_nothing(pg: Store) -> None:
    rows = samples(2 * bulk.FEW, random.Random(1))
    with pytest.raises(StoreError), pg.write() as tx:
        tx.bulk("insert_sample", [*rows, {**rows[0], "request_id": "r", "timestamp": "no time"}])
    assert scalar(pg, "SELECT count(*) FROM samples") == 0


BLOCKS, SEGMENTS, WRITERS = 16, 1_000, 6


def block_result(block: int) -> BlockResult:
    """Additions to the same rows in each block: of one table each, or the first one's locks would hide the rest."""
    kind = block // WRITERS % 4
    five: list[tuple[Any, ...]] = [
        (bucket, segment, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, b"", b"") for bucket in (1, 2) for segment in range(SEGMENTS)
    ]
    days: list[tuple[Any, ...]] = [(1, account, 1, 1, 1, 1, 0) for account in range(SEGMENTS)]
    cells: list[tuple[Any, ...]] = [(f"intent.{n}", "d", 1, 1, block, block) for n in range(SEGMENTS)]
    segments = {n: (f"intent.{n}", "", "d", "", "", "primary") for n in range(SEGMENTS)}
    accounts = {n: ("", "", f"intent.{n}", "d", "") for n in range(SEGMENTS)}
    plans = {(f"intent.{n}", 1): 1 for n in range(SEGMENTS)}
    deployments = {"d": Deployment(model_version="m", prompt_version="p", retrieval_index="i")}
    rollup = RollupRows(
        five if kind == 0 else [],
        days if kind == 1 else [],
        cells if kind == 2 else [],
        segments,
        accounts,
        deployments,
        plans if kind == 3 else {},
    )
    return BlockResult(SEGMENTS, 0, [], [], rollup, 1, None)


def test_many_writers_on_the_same_rows_never_deadlock(url: str, pg: Store) -> None:
    begin(pg)
    now = Now().now()
    with pg.write() as tx:
        ledger.insert_generation(tx, Generation("g", "s", "p", "plain", "", Identity(), 0, 0, "live"), now)
        ledger.plan_ranges(tx, "g", 0, range(1, BLOCKS * WRITERS + 1), Identity(planned_to=BLOCKS * WRITERS), now)
    stores = [Store(url, role=f"writer {n}") for n in range(WRITERS)]

    def commit(store: Store, start: int) -> None:
        block = Block(
            generation="g", start=start, stop=start + 1, source="s", path="p", encoding="plain", planned_at=now
        )
        with store.write() as tx:
            assert commit_block(tx, block, block_result(start), None, now)[0] is Commit.WON

    def work(number: int, kind: int) -> None:
        for start in range(number, BLOCKS * WRITERS, WRITERS):
            if start // WRITERS % 4 == kind:
                commit(stores[number], start)

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = scalar(pg, deadlocks)
    for kind in range(4):
        assert together(*[partial(work, n, kind) for n in range(WRITERS)]) == []
    for store in stores:
        store.close()
    assert scalar(pg, deadlocks) == before
    for table in ("rollup_5m", "rollup_day", "cells"):
        assert scalar(pg, f"SELECT min(requests) FROM {table}") == BLOCKS // 4 * WRITERS
        assert scalar(pg, f"SELECT max(requests) FROM {table}") == BLOCKS // 4 * WRITERS
    assert scalar(pg, "SELECT sum(unsampled) FROM tallies") == BLOCKS // 4 * WRITERS * SEGMENTS


def test_a_real_deadlock_is_tried_again(url: str, pg: Store) -> None:
    with pg.write() as tx:
        for name in ("a", "b"):
            tx.run("insert_meta", name=name, value="0")
    first_try = threading.Barrier(2)

    def crossed(one: str, two: str) -> Callable[[], None]:
        attempts = 0

        def write(tx_store: Store = pg) -> None:
            nonlocal attempts
            attempts += 1
            with tx_store.write() as tx:
                tx._connection.exec_driver_sql(f"UPDATE meta SET value = value || '1' WHERE name = '{one}'")
                if attempts == 1:
                    first_try.wait(30)
                tx._connection.exec_driver_sql(f"UPDATE meta SET value = value || '1' WHERE name = '{two}'")

        return lambda: retry_conflicts(write)

    assert together(crossed("a", "b"), crossed("b", "a")) == []
    assert scalar(pg, "SELECT min(value) FROM meta WHERE name IN ('a', 'b')") == "011"


def test_two_processes_that_migrate_at_once_make_one_schema(url: str) -> None:
    stores = [Store(url, role=f"starter {n}") for n in range(3)]
    assert together(*[partial(migrate, store) for store in stores]) == []
    versions = scalar(stores[0], "SELECT count(*) FROM schema_migrations")
    assert versions == scalar(stores[0], "SELECT count(DISTINCT version) FROM schema_migrations") > 5
    for store in stores:
        store.close()


def test_the_planner_s_lock_holds_until_the_end_of_the_transaction(url: str, pg: Store) -> None:
    hasty = Store(url, StoreSection(lock_timeout_seconds=0.2))
    with pg.write() as tx:
        tx.rows("lock_planner")
        with pytest.raises(StoreConflict, match="lock_timeout_seconds"), hasty.write() as other:
            other.rows("lock_planner")
    with hasty.write() as other:
        other.rows("lock_planner")
    hasty.close()


def setting(tx: Transaction, name: str) -> str:
    return str(tx._connection.exec_driver_sql(f"SHOW {name}").scalar_one())


def test_the_server_knows_who_we_are_and_how_long_we_may_take(url: str, pg: Store) -> None:
    section = StoreSection(statement_timeout_seconds=7, lock_timeout_seconds=3, idle_in_transaction_seconds=0)
    store = Store(url, section, "run")
    with store.read() as tx:
        assert setting(tx, "application_name") == "tidegauge run"
        assert setting(tx, "statement_timeout") == "7s"
        assert setting(tx, "lock_timeout") == "3s"
        assert setting(tx, "idle_in_transaction_session_timeout") == "0"
        assert setting(tx, "search_path") == url.split("search_path%3D")[1]
    store.close()
    named = Store(url + "&application_name=mine", section, "run")
    with named.read() as tx:
        assert setting(tx, "application_name") == "mine"
    named.close()


def test_a_statement_that_takes_too_long_is_ended(url: str, pg: Store) -> None:
    store = Store(url, StoreSection(statement_timeout_seconds=0.1))
    with pytest.raises(StoreConflict, match="statement_timeout_seconds"), store.read() as tx:
        tx._connection.exec_driver_sql("SELECT pg_sleep(30)")
    store.close()


def test_stores_of_a_process_share_one_pool_of_the_given_size(
    url: str, pg: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegauge.storage.pool._POOL_WAIT_SECONDS", 0.2)
    section = StoreSection(pool_size=2)
    one, two = Store(url, section, "pooled"), Store(url, section, "pooled")
    with one.read() as tx, two.read():
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidegauge pooled'"
        assert tx._connection.exec_driver_sql(mine).scalar_one() == 2
        with pytest.raises(StoreUnavailable, match="pool_size"), two.read():
            pass
    one.close()
    with two.read() as tx:
        assert setting(tx, "application_name") == "tidegauge pooled"
    two.close()


def test_without_prepared_statements_the_server_keeps_none(url: str, pg: Store) -> None:
    counts = {}
    for prepared in (True, False):
        store = Store(url, StoreSection(prepared_statements=prepared), f"prepared {prepared}")
        with store.read() as tx:
            for _ in range(10):
                tx.rows("owners")
            held = tx._connection.execute(sa.text("SELECT count(*) FROM pg_prepared_statements"))
            counts[prepared] = held.scalar_one()
        store.close()
    assert counts[True] > counts[False] == 0
