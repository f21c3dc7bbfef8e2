"""Connections to a file of SQLite."""

import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_BUSY_MS = 60_000


def engine(url: sa.URL) -> sa.Engine:
    """Raises ValueError for a store in memory."""
    if url.database in (None, "", ":memory:"):
        raise ValueError("a store in memory is seen by one connection alone")
    made = sa.create_engine(
        url,
        connect_args={"timeout": _BUSY_MS / 1000},
        hide_parameters=True,
        poolclass=sa.NullPool if _is_at_rest(Path(str(url.database))) else None,  # what is kept would not see a change
    )
    sa.event.listen(made, "do_connect", _connect)
    sa.event.listen(made, "connect", _prepare)
    return made


def _is_at_rest(file: Path) -> bool:
    """Whether a file may only be read, and nobody has it open for writing: whoever has, keeps a log beside it."""
    if not file.exists() or (
        os.access(file, os.W_OK, effective_ids=True) and os.access(file.parent, os.W_OK, effective_ids=True)
    ):
        return False
    log = file.with_name(f"{file.name}-wal")
    return not log.exists() or not log.stat().st_size


def _connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> sqlite3.Connection | None:
    """SQLite reads a store with a write-ahead log only where it can make that log, or is told that it needs none."""
    file = Path(arguments[0])
    if not _is_at_rest(file):
        return None
    found: sqlite3.Connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, **options)
    return found


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is lazy and deferred: a reader that wants to write later could fail at once on a lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-8192")  # kB a connection, and every transform has one
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Switches the file to a write-ahead log. Of two that do it to a new file at once, SQLite refuses one at once,
    whatever the busy timeout is: each holds the lock that the other waits for."""
    give_up = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret
