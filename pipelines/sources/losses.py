"""What was planned and can no longer be read: somebody is told."""

from collections.abc import Mapping
from typing import Any

from tidegauge.domain import Micros
from tidegauge.service import tickets
from tidegauge.storage.ledger import Generation
from tidegauge.storage.store import Transaction


def tell(tx: Transaction, generation: Generation, evidence: Mapping[str, Any], now: Micros) -> None:
    """A ticket for lost ranges of a generation."""
    tickets.open_ticket(
        tx,
        kind="source_lost",
        subject={"source": generation.source, "path": generation.path, "generation": generation.generation},
        owner="platform",
        evidence=dict(evidence),
        now=now,
    )
