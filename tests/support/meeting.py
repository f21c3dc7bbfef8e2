"""Transactions that meet on PostgreSQL: all of them wait for the same lock before one goes on."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tidegauge.storage.store import Store, Transaction

_SECONDS = 30

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = '{}'"


def meet(
    store: Store,
    hold: Callable[[Transaction], Any],
    *jobs: Callable[[Store], Any],
    then: Callable[[Transaction], Any] = lambda tx: None,
) -> list[BaseException]:
    """Starts the jobs while a transaction holds what `hold` locks, and once all wait goes on with `then` and ends.

    What the jobs raised.
    """
    role = uuid.uuid4().hex
    raised: list[BaseException] = []

    def run(job: Callable[[Store], Any]) -> None:
        try:
            job(own)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    own = Store(store.url, role=role)
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    with store.write() as tx:
        hold(tx)
        for thread in threads:
            thread.start()
        _wait(store, f"tidegauge {role}", len(jobs))
        then(tx)
    for thread in threads:
        thread.join(_SECONDS)
    own.close()
    return raised


def _wait(store: Store, name: str, jobs: int) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with store.read() as tx:
            if tx._connection.exec_driver_sql(_WAITING.format(name)).scalar_one() == jobs:
                return
    raise AssertionError(f"not all of {jobs} transactions came to wait")


def lock_tables(*names: str) -> Callable[[Transaction], Any]:
    """Lets others read the tables, not write them."""
    return lambda tx: tx._connection.exec_driver_sql(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
