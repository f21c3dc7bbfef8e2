"""A store of any earlier program gets what it lacks, and one of a newer program is left alone."""

import threading
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tests.conftest import drop_schema, postgresql_url
from tidegauge.config import StoreSection
from tidegauge.errors import StoreTooNew
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

MIGRATIONS = {int(f.name.split("_")[0]): f for f in files("sql").joinpath("migrations").iterdir() if f.name[0] == "0"}


@pytest.fixture
def old(store_url: str) -> Iterator[Store]:
    """Another store on the same database, still empty."""
    url = postgresql_url() if store_url.startswith("postgresql") else store_url.replace("store.db", "old.db")
    opened = Store(url)
    yield opened
    opened.close()
    if url != store_url.replace("store.db", "old.db"):
        drop_schema(url)


def schema(store: Store) -> set[tuple[object, ...]]:
    """Tables, their columns and what type these are."""
    query = (
        "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        if store.dialect == "sqlite"
        else "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
    )
    with store.read() as tx:
        return {tuple(row) for row in tx._connection.exec_driver_sql(query)}


def versions(store: Store) -> set[int]:
    with store.read() as tx:
        return {row["version"] for row in tx.rows("schema_versions")}


@pytest.mark.parametrize("present", [{1}, {1, 2, 6}, MIGRATIONS.keys() - {15}, MIGRATIONS.keys() - {3, 5, 13}])
def test_numbers_that_arrive_out_of_order_are_all_applied(store: Store, old: Store, present: set[int]) -> None:
    with old.write() as tx:
        tx.run("create_schema_migrations")
        for version in sorted(present):
            name = MIGRATIONS[version].name
            if name.endswith((f".{old.dialect}.sql", name.split(".")[0] + ".sql")):
                tx.script(MIGRATIONS[version].read_text())
            tx.run("record_migration", version=version, name=name)
    assert schema(old) != schema(store)
    assert migrate(old) == max(MIGRATIONS)
    assert schema(old) == schema(store)
    assert versions(old) == MIGRATIONS.keys()


def test_quarantined_lines_of_an_earlier_version_find_their_block(old: Store) -> None:
    places = {"file": [(0, 0), (100, 180)], "topic/0": [(0, 7 << 24), (10, (10 << 24) + 3), (10, 15 << 24)]}
    with old.write() as tx:
        tx.run("create_schema_migrations")
        for version in sorted(MIGRATIONS.keys() - {22}):
            name = MIGRATIONS[version].name
            if name.endswith((f".{old.dialect}.sql", name.split(".")[0] + ".sql")):
                tx.script(MIGRATIONS[version].read_text())
            tx.run("record_migration", version=version, name=name)
        for path, rows in places.items():
            encoding = "kafka" if "/" in path else "plain"
            generation = Generation(path, "s", path, encoding, "", Identity(), 0, 0, "live")
            ledger.insert_generation(tx, generation, 0)
            ledger.plan_ranges(tx, path, 0, [10, 100, 1000], Identity(planned_to=1000), 0)
            for _, start in rows:
                tx.script(
                    "INSERT INTO quarantine (generation, start, length, source, reason, detail, sha256, raw)"
                    f" VALUES ('{path}', {start}, 4, 's', 'malformed_json', 'd{start}', 'h{start}', '{start}')"
                )
        before = list(tx.rows("dump_quarantine"))
    migrate(old)
    with old.read() as tx:
        found = [
            tuple(row)
            for row in tx._connection.exec_driver_sql("SELECT generation, block_start, start FROM quarantine")
        ]
        assert sorted(tx.rows("dump_quarantine"), key=str) == sorted(before, key=str)
    assert sorted(found) == sorted((path, *place) for path, rows in places.items() for place in rows)


@pytest.mark.parametrize("newer", [0, 999])
def test_a_store_with_a_schema_that_is_not_known_here_is_left_alone(store: Store, newer: int) -> None:
    assert newer not in MIGRATIONS
    before = schema(store)
    with store.write() as tx:
        tx.run("record_migration", version=newer, name="unknown.sql")
    with pytest.raises(StoreTooNew, match=f"has schema {newer}, which this program"):
        migrate(store)
    assert schema(store) == before


@pytest.mark.postgresql
def test_whoever_comes_second_waits_for_a_long_migration(url: str) -> None:
    first, second = Store(url), Store(url, StoreSection(statement_timeout_seconds=0.5, lock_timeout_seconds=0.1))
    migrating = threading.Thread(target=migrate, args=(second,), daemon=True)
    with first.write() as tx:
        tx.run("lock_migrations")
        migrating.start()
        migrating.join(1)
        assert migrating.is_alive()
    migrating.join(60)
    assert versions(first) == MIGRATIONS.keys()
    with second.write() as tx:
        tx.run("be_patient")
        tx.run("be_impatient")
        settings = tx._connection.exec_driver_sql(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        )
        assert settings.one() == ("0", "100ms")
    for store in (first, second):
        store.close()
