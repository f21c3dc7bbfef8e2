"""Numbered migrations in ``sql/migrations``, applied at start under a lock, never twice, never backwards."""

import importlib.resources

from tidegauge.errors import StoreTooNew
from tidegauge.storage.store import Store, Transaction


def migrate(store: Store) -> int:
    """Brings the store to the program's schema; its version. Two processes may start at once.

    Raises StoreTooNew when a newer program has written the store.
    """
    files = sorted(
        (f for f in importlib.resources.files("sql").joinpath("migrations").iterdir() if f.name.endswith(".sql")),
        key=lambda f: f.name,
    )
    wanted = {int(f.name.split("_")[0]): f for f in files}
    newest = max(wanted)
    with store.read() as tx:
        if _version(tx) == newest:
            return newest
    with store.write() as tx:
        if tx.dialect == "postgresql":
            tx.run("lock_migrations")
        current = _version(tx)
        if current > newest:
            raise StoreTooNew(
                f"store {store.shown_url} has schema {current}, this program knows {newest}: install a newer tidegauge"
            )
        tx.run("create_schema_migrations")
        for version in sorted(v for v in wanted if v > current):
            if _is_for(wanted[version].name, tx.dialect):
                tx.script(wanted[version].read_text(encoding="utf-8"))
            tx.run("record_migration", version=version, name=wanted[version].name)
    return newest


def _is_for(name: str, dialect: str) -> bool:
    """NUMBER_WHAT.sql is for both databases, NUMBER_WHAT.DIALECT.sql for one."""
    own = name.split(".")[1:-1]
    return not own or own == [dialect]


def _version(tx: Transaction) -> int:
    table = "has_table_sqlite" if tx.dialect == "sqlite" else "has_table_postgresql"
    return int(tx.value("schema_version") or 0) if tx.value(table, name="schema_migrations") else 0
