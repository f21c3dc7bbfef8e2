"""`tidegauge dump --canonical`: what is a function of the log, the plan rows and the code alone, as sorted JSON lines.

Left out is what depends on when one looked: blocks, owners and ingest times, routing, labels, decisions, and the
verdicts of evaluators that asked somebody.
"""

import json
from collections.abc import Iterator
from typing import Any

from tidegauge.storage import histogram
from tidegauge.storage.store import Transaction

_HISTOGRAMS = ("latency", "retrieval_latency")
_TABLES = ("quarantine", "rollup_5m", "rollup_day", "samples", "verdicts")


def canonical(tx: Transaction) -> Iterator[bytes]:
    """Lines with their newline, in one order on every database."""
    for table in _TABLES:
        for line in sorted(_line(table, dict(row)) for row in tx.stream(f"dump_{table}")):
            yield line.encode()


def _line(table: str, row: dict[str, Any]) -> str:
    for name in _HISTOGRAMS:
        if name in row:
            row[name] = histogram.unpack(bytes(row[name])).tolist()
    if "payload" in row:
        row["payload"] = json.loads(bytes(row["payload"]))
    return json.dumps({"table": table, **row}, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"
