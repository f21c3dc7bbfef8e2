"""Connections: one pool per process and database, with timeouts, and patience while a server restarts."""

import logging
import os
import random
import threading
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidegauge.config import StoreSection
from tidegauge.errors import StoreConflict, StoreError, StoreLost, StoreUnavailable
from tidegauge.storage import sqlite, urls

_POOL_WAIT_SECONDS = 30
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_CONFLICTS = {
    "40001": "",  # serialization failure
    "40P01": "",  # deadlock detected
    "55P03": "; see store.lock_timeout_seconds",
    "57014": "; see store.statement_timeout_seconds",
}

_log = logging.getLogger("tidegauge")
_lock = threading.Lock()
_shared: dict[tuple[Any, ...], "Pool"] = {}


class Pool:
    """The connections of this process to one database. Stores of the same URL and role share it on PostgreSQL."""

    losses = 0
    """Connections that this process lost in a transaction, of whatever pool."""

    def __init__(self, url: str, section: StoreSection, role: str) -> None:
        self.engine = _engine(url, section, role)
        self._url = urls.parsed(url)  # with the options, which the engine's has no more
        self._outage_seconds = section.outage_seconds
        self._reached = False
        self._users = 1

    @classmethod
    def of(cls, url: str, section: StoreSection, role: str) -> "Pool":
        """The one of this process. Raises StoreError for a URL that is none of a store."""
        with _lock:
            key = (os.getpid(), url, section, role)
            found = _shared.get(key)
            if found is not None:
                found._users += 1
                return found
            made = cls(url, section, role)
            if made.engine.dialect.name == "postgresql":
                _shared[key] = made
            return made

    def close(self) -> None:
        """Ends the connections once nobody uses them any more; also those of a store that was used after its end."""
        with _lock:
            self._users -= 1
            if self._users > 0:
                return
            for key in [key for key, pool in _shared.items() if pool is self]:
                del _shared[key]
        self.engine.dispose()

    @property
    def shown_url(self) -> str:
        """The URL without what is secret in it."""
        return urls.shown(self.engine.url)

    def connect(self) -> sa.Connection:
        """A connection that answers. A server that was there before is waited for, one that never was is not.

        Raises StoreUnavailable.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                connection = self.engine.connect()
            except SQLAlchemyError as error:
                waited = time.monotonic() - began
                if not self._reached or not isinstance(error, OperationalError) or waited > self._outage_seconds:
                    self._reached = False  # whoever comes next need not wait as long
                    raise self._unreachable(error) from self.cause(error)
                if pause == _FIRST_PAUSE:
                    _log.warning("store %s: %s; trying again", self.shown_url, self._first_line(error))
                time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._reached = True
                return connection

    def _unreachable(self, error: SQLAlchemyError) -> StoreError:
        translated = self.translated(error)
        return StoreUnavailable(str(translated)) if isinstance(translated, StoreLost) else translated

    def translated(self, error: SQLAlchemyError) -> StoreError:
        """The same as an error of ours, which says whether the transaction may be tried again."""
        said = f"store {self.shown_url}: {self._first_line(error)}"
        if isinstance(error, PoolTimeout):
            return StoreUnavailable(f"store {self.shown_url}: all connections are in use; raise store.pool_size")
        if isinstance(error, DBAPIError) and self.engine.dialect.name == "postgresql":
            state = getattr(error.orig, "sqlstate", None)
            if state in _CONFLICTS:
                return StoreConflict(said + _CONFLICTS[state])
            if error.connection_invalidated:
                Pool.losses += 1
                return StoreLost(said)
        return StoreUnavailable(said) if isinstance(error, OperationalError) else StoreError(said)

    def cause(self, error: SQLAlchemyError) -> SQLAlchemyError | None:
        """What a traceback may show: nothing where the driver repeats a secret."""
        said = f"{error} {error.__cause__}"
        return error if urls.hidden(said, self._url) == said else None

    def _first_line(self, error: Exception) -> str:
        return urls.hidden(first_line(error), self._url)


def first_line(error: Exception) -> str:
    """What the driver said."""
    cause = getattr(error, "orig", None) or error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__


def _engine(url: str, section: StoreSection, role: str) -> sa.Engine:
    parsed = urls.parsed(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"store {parsed.drivername}: a store is sqlite:///FILE or postgresql://HOST/NAME")
    try:
        if parsed.get_backend_name() == "sqlite":
            return sqlite.engine(parsed)
        return _postgresql(parsed, section, role)
    except (SQLAlchemyError, ValueError) as error:
        said = urls.hidden(first_line(error), parsed)
        raise StoreError(f"store: {said}; write sqlite:///FILE or postgresql://HOST/NAME") from None


def _postgresql(url: sa.URL, section: StoreSection, role: str) -> sa.Engine:
    """What the URL itself says wins over the configuration."""
    given = " ".join(url.normalized_query.get("options", ()))
    arguments: dict[str, Any] = {
        "connect_timeout": section.connect_timeout_seconds,
        "application_name": f"tidegauge {role}".strip(),
        "options": f"{_timeouts(section)} {given}".strip(),
        # A server that vanished without a word is noticed after about half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
    }
    for name in url.query.keys() & arguments.keys() - {"options"}:
        del arguments[name]
    if not section.prepared_statements:
        arguments["prepare_threshold"] = None
    return sa.create_engine(
        url.difference_update_query(["options"]),
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=section.pool_size,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,  # texts of requests, which no traceback shall show
    )


def _timeouts(section: StoreSection) -> str:
    seconds = {
        "statement_timeout": section.statement_timeout_seconds,
        "lock_timeout": section.lock_timeout_seconds,
        "idle_in_transaction_session_timeout": section.idle_in_transaction_seconds,
    }
    return " ".join(f"-c {name}={round(value * 1000)}" for name, value in seconds.items() if value)
