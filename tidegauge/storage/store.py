"""One store, SQLite or PostgreSQL, behind named SQL.

Statements live in ``sql/queries/*.sql``, each under a line ``-- name: something``; they run as they are on both
databases. A room of the store (ledger, commits, …) is a module of functions that take a `Transaction`.
"""

import importlib.resources
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from tidegauge.config import StoreSection
from tidegauge.errors import StoreConflict, StoreError, StoreLost
from tidegauge.storage import bulk, urls
from tidegauge.storage.pool import Pool

Row = Mapping[str, Any]
Rows = Sequence[Row] | Sequence[tuple[Any, ...]]
R = TypeVar("R")

_FOLDER = importlib.resources.files("sql").joinpath("queries")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):(\w+)")
_LIST = re.compile(r"(NOT )?IN :(\w+)")
_ONLY = re.compile(r"/\*postgresql (.*?)\*/")
_IN_LIST = 500
_LOST_ATTEMPTS = 20
_LONGEST_PAUSE = 2.0


@cache
def queries(dialect: str = "sqlite") -> dict[str, sa.TextClause]:
    """All named statements. A parameter written ``IN :names`` takes a list; what stands in ``/*postgresql … */`` is for
    that database alone.

    A list travels as one parameter, so that a statement has one text, which driver and server prepare once, however
    long the list is.
    """
    found: dict[str, sa.TextClause] = {}
    for file in sorted(_FOLDER.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise StoreError(f"{file.name}: two statements are called {name}")
            only = _ONLY.sub(r"\1" if dialect == "postgresql" else "", text)
            found[name] = sa.text(_LIST.sub(_MEMBER[dialect], only).strip().rstrip(";"))
    return found


def _in_array(found: re.Match[str]) -> str:
    negated, name = found.groups()
    return f"{'<> ALL' if negated else '= ANY'}(CAST(:{name} AS {_ARRAYS.get(name, 'text[]')}))"


_ARRAYS = {"segments": "bigint[]"}
"""Types of lists that are not text."""

_MEMBER: dict[str, Callable[[re.Match[str]], str]] = {
    "postgresql": _in_array,
    "sqlite": lambda found: f"{found[1] or ''}IN (SELECT value FROM json_each(:{found[2]}))",
}


@cache
def _batched(query: str, dialect: str) -> tuple[str, tuple[str, ...]]:
    """A statement whose parameters are given by their places, and their names.

    Both drivers look named ones up for each row anew, which takes SQLite as long as the statement itself.
    """
    text = str(queries(dialect)[query].text)
    names = tuple(_PARAMETER.findall(text))
    if dialect == "postgresql":
        return _PARAMETER.sub("%s", text.replace("%", "%%")), names
    return _PARAMETER.sub("?", text), names


def _sent(value: Any, dialect: str) -> Any:
    """A parameter as the driver takes it. Whoever says something may say NUL, whatever the statement."""
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, list | tuple | Set):
        return value
    return [_sent(part, dialect) for part in value] if dialect == "postgresql" else msgspec.json.encode(value).decode()


def storable(text: str) -> str:
    """Without NUL, which PostgreSQL cannot hold. Parameters of `many` and `bulk` are made so by those who give them."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Transaction:
    """An open transaction; everything is written at its end or not at all."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._merged: set[str] = set()

    @property
    def dialect(self) -> str:
        return self._connection.dialect.name

    def rows(self, query: str, **parameters: Any) -> list[Row]:
        result = self._execute(query, parameters)
        if not result.returns_rows:
            return []
        names = tuple(result.keys())
        return [dict(zip(names, row, strict=True)) for row in result.all()]

    def first(self, query: str, **parameters: Any) -> Row | None:
        found = self.rows(query, **parameters)
        return found[0] if found else None

    def value(self, query: str, **parameters: Any) -> Any:
        """The first column of the first row; None where there is none."""
        row = self.first(query, **parameters)
        return next(iter(row.values())) if row else None

    def run(self, query: str, **parameters: Any) -> int:
        """Runs a statement; the number of rows it touched."""
        return self._execute(query, parameters).rowcount

    def _execute(self, query: str, parameters: Mapping[str, Any], **options: Any) -> sa.CursorResult[Any]:
        dialect = self.dialect
        given = {name: _sent(value, dialect) for name, value in parameters.items()}
        return self._connection.execute(queries(dialect)[query], given, execution_options=options)

    def many(self, query: str, rows: Rows) -> None:
        """Runs a statement once per row, in one batch. Rows go to the driver as they are: this is the hot path.

        A row is a mapping, or a tuple in the order in which the statement names its parameters.
        """
        if rows:
            statement, names = _batched(query, self.dialect)
            self._connection.exec_driver_sql(statement, bulk.tuples(rows, names))

    def bulk(self, query: str, rows: Rows) -> None:
        """`many` for an INSERT of any number of rows, whose keys are distinct or whose conflicts do nothing."""
        if self.dialect != "postgresql" or len(rows) <= bulk.FEW:
            self.many(query, rows)
        else:
            merge = bulk.merge_of(query, str(queries(self.dialect)[query].text))
            bulk.run(self._connection, merge, rows, again=query in self._merged)
            self._merged.add(query)

    def rows_in(self, query: str, name: str, values: Sequence[Any], **parameters: Any) -> list[Row]:
        """`rows` with a list parameter of any length, in slices that every database takes."""
        return [
            row
            for start in range(0, len(values), _IN_LIST)
            for row in self.rows(query, **{name: list(values[start : start + _IN_LIST])}, **parameters)
        ]

    def stream(self, query: str, **parameters: Any) -> Iterator[Row]:
        """Rows one after the other, for results that need not fit in memory."""
        for row in self._execute(query, parameters, yield_per=1000).mappings():
            yield dict(row)

    def script(self, text: str) -> None:
        """Runs the statements of a migration."""
        for statement in re.sub(r"--[^\n]*", "", text).split(";"):
            if statement.strip():
                self._connection.exec_driver_sql(statement)


class Store:
    """A database by URL. Threads may share it; processes may not: it travels between them as its URL."""

    def __init__(self, url: str, section: StoreSection | None = None, role: str = "") -> None:
        """`section` has pool and timeouts, its URL is not looked at; `role` is what the server calls us by.

        Raises StoreError for a URL that is none of a store.
        """
        self.url = url
        self._pool = Pool.of(url, msgspec.structs.replace(section or StoreSection(), url=""), role)

    @property
    def dialect(self) -> str:
        return self._pool.engine.dialect.name

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write. On SQLite it takes the write lock at once, so that it never has to give way.

        On PostgreSQL it may raise StoreConflict or StoreLost: see `retry_conflicts`.
        """
        with self._connect() as connection, connection.begin():
            yield self._begun(connection, "BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads, from one snapshot on SQLite. Once the answers are here its end cannot fail."""
        with self._connect() as connection:
            yield self._begun(connection, "BEGIN")

    def _begun(self, connection: sa.Connection, begin: str) -> Transaction:
        if self.dialect == "sqlite":
            connection.exec_driver_sql(begin)
        return Transaction(connection)

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        try:
            with self._pool.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._pool.translated(error) from self._pool.cause(error)

    @property
    def losses(self) -> int:
        """How often this process lost a connection in a transaction; what it asked for then may have been done."""
        return Pool.losses

    @property
    def url_without_password(self) -> str:
        """What may travel; those who arrive bring the password."""
        return urls.travelling(self.url)

    @property
    def shown_url(self) -> str:
        """The URL without what is secret in it."""
        return self._pool.shown_url

    def close(self) -> None:
        self._pool.close()


def retry_conflicts(work: Callable[..., R], *arguments: Any, attempts: int = 5) -> R:
    """Runs whole transactions again when PostgreSQL gave one up, or the connection was lost in one.

    A transaction whose connection is lost at its end may have been written: `work` must bear being run twice.
    """
    for attempt in itertools.count(1):
        try:
            return work(*arguments)
        except (StoreConflict, StoreLost) as error:
            if attempt >= (attempts if isinstance(error, StoreConflict) else _LOST_ATTEMPTS):
                raise
            time.sleep(random.random() * min(0.05 * 2**attempt, _LONGEST_PAUSE))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")
