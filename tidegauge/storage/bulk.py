"""Many rows at once on PostgreSQL: COPY into a temporary table, then one statement that merges it.

The statement is the one that SQLite runs row by row; here its VALUES become a SELECT from the staged rows.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tidegauge.domain import short_hash
from tidegauge.errors import StoreError

FEW = 50
"""Up to so many rows a batch of single statements is as fast."""

_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)\s+VALUES \((.*?)\)(?=\s*ON CONFLICT|\s*$)(.*)", re.DOTALL)
_PARAMETER = re.compile(r"(?<!:):(\w+)")


class Merge(NamedTuple):
    """How rows get into a table: their columns, and four statements."""

    columns: tuple[str, ...]
    prepare: str
    empty: str
    copy: str
    merge: str


@cache
def merge_of(name: str, text: str) -> Merge:
    """The same as an INSERT … VALUES with named parameters that are called like their columns.

    Raises StoreError for any other statement.
    """
    found = _INSERT.fullmatch(text.strip())
    if found is None:
        raise StoreError(f"{name}: only INSERT … VALUES can be run in bulk")
    table, into, values, rest = found.groups()
    columns = tuple(dict.fromkeys(_PARAMETER.findall(values)))
    listed = ", ".join(columns)
    # Another version of the program may have left its own table in a session that a pooler hands on.
    staged = f"stage_{name}_{short_hash(listed)[:8]}"
    selected = _PARAMETER.sub(r"s.\1", values)
    return Merge(
        columns,
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS AS"
        f" SELECT {listed} FROM {table} WITH NO DATA",
        f"TRUNCATE {staged}",
        f"COPY {staged} ({listed}) FROM STDIN",
        # A temporary table that was empty is read in the order in which it was written, and never by two: whoever else
        # writes the same rows locks them in that order, too.
        f"INSERT INTO {table} ({into}) SELECT {selected} FROM {staged} s WHERE true {rest.strip()}",
    )


def tuples(rows: Sequence[Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows, mappings or tuples, as tuples in the order of names."""
    if rows and isinstance(rows[0], tuple):
        return list(rows)
    return [tuple(map(row.__getitem__, names)) for row in rows]


def run(connection: sa.Connection, merge: Merge, rows: Sequence[Any], *, again: bool = False) -> None:
    """Merges rows with distinct keys, or any rows where conflicts do nothing.

    `again`: the transaction has merged rows by this statement before; at its end the staged rows go by themselves.
    """
    connection.exec_driver_sql(merge.empty if again else merge.prepare)
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(merge.copy) as copy:
            for row in tuples(rows, merge.columns):
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:  # becomes SQLAlchemy's, as everywhere else
        raise DBAPIError(merge.copy, None, error, connection_invalidated=driver.closed) from error
    connection.exec_driver_sql(merge.merge)
