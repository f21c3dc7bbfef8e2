"""Numbered migrations in ``sql/migrations``, applied at start under a lock, never twice, never backwards."""

import importlib.resources

from tidegauge.errors import StoreTooNew
from tidegauge.storage.store import Store, Transaction

_FOLDER = importlib.resources.files("sql").joinpath("migrations")


def migrate(store: Store) -> int:
    """Applies what the store lacks of the program's schema; its version. Two processes may start at once.

    Numbers may arrive out of order, as they do where two branches add one each. Raises StoreTooNew when a newer
    program has written the store.
    """
    wanted = {int(file.name.split("_")[0]): file for file in _FOLDER.iterdir() if file.name.endswith(".sql")}
    with store.read() as tx:
        if _versions(tx) == wanted.keys():
            return max(wanted)
    with store.write() as tx:
        if tx.dialect == "postgresql":
            for query in ("be_patient", "lock_migrations", "be_impatient"):
                tx.run(query)
        present = _versions(tx)
        if unknown := present - wanted.keys():
            raise StoreTooNew(
                f"store {store.shown_url} has schema {max(unknown)}, which this program, with schema {max(wanted)}, "
                "does not know: install a newer tidegauge"
            )
        tx.run("create_schema_migrations")
        for version in sorted(wanted.keys() - present):
            if _is_for(wanted[version].name, tx.dialect):
                tx.script(wanted[version].read_text(encoding="utf-8"))
            tx.run("record_migration", version=version, name=wanted[version].name)
    return max(wanted)


def is_made(tx: Transaction) -> bool:
    """Whether a store was ever written."""
    return bool(_versions(tx))


def _is_for(name: str, dialect: str) -> bool:
    """NUMBER_WHAT.sql is for both databases, NUMBER_WHAT.DIALECT.sql for one."""
    own = name.split(".")[1:-1]
    return not own or own == [dialect]


def _versions(tx: Transaction) -> set[int]:
    table = "has_table_sqlite" if tx.dialect == "sqlite" else "has_table_postgresql"
    if not tx.value(table, name="schema_migrations"):
        return set()
    return {row["version"] for row in tx.rows("schema_versions")}
