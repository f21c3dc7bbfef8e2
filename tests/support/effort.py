"""How much a statement looks at, so that a test can tell whether that grows with the store, on any machine."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from tidegauge.storage.store import Store, Transaction, _sent, queries


def effort(store: Store, query: str, **parameters: Any) -> int:
    """Steps of SQLite's machine, or rows that PostgreSQL's plan reads; what the statement writes is not kept."""
    with store.read() as tx:
        return (_steps if tx.dialect == "sqlite" else _rows_read)(tx, query, parameters)


def know_sizes(store: Store) -> None:
    """What PostgreSQL does by itself after a while; SQLite must do without."""
    if store.dialect == "postgresql":
        with store.write() as tx:
            tx._connection.exec_driver_sql("ANALYZE")


def _steps(tx: Transaction, query: str, parameters: Mapping[str, Any]) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver: Any = tx._connection.connection.driver_connection
    driver.set_progress_handler(step, 1)
    try:
        tx.rows(query, **parameters)
    finally:
        driver.set_progress_handler(None, 0)
    return steps


def _rows_read(tx: Transaction, query: str, parameters: Mapping[str, Any]) -> int:
    text = re.sub(r"^", "EXPLAIN (ANALYZE, FORMAT JSON) ", str(queries(tx.dialect)[query].text))
    given = {name: _sent(value, tx.dialect) for name, value in parameters.items()}
    plan = tx._connection.execute(sa.text(text), given).scalar_one()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return round(sum(_read_by(node) for node in _nodes(found[0]["Plan"])))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _read_by(node: Mapping[str, Any]) -> float:
    """A scan's rows, also those that it threw away."""
    thrown = sum(float(node.get(f"Rows Removed by {why}", 0)) for why in ("Filter", "Index Recheck"))
    return (float(node["Actual Rows"]) + thrown) * float(node["Actual Loops"]) if "Scan" in node["Node Type"] else 0
