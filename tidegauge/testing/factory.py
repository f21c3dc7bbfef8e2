"""Valid lines of a request log, the same ones every time."""

import json
from typing import Any

from tidegauge.domain import SECOND, Micros, iso

_FIRST: Micros = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def request_record(number: int = 0, **overrides: Any) -> dict[str, Any]:
    """The record number `number` of the input contract, a second after the one before. An override of None removes
    the field."""
    record: dict[str, Any] = {
        "request_id": f"request-{number:06d}",
        "timestamp": iso(_FIRST + number * SECOND),
        "intent": "refunds.policy",
        "model_version": "model-1",
        "prompt_version": "prompt-1",
        "retrieval_index": "index-1",
        "question": "How long do refunds take?",
        "contexts": [{"id": "refunds-1", "text": "Refunds are paid within 14 days after the parcel has arrived."}],
        "response": "Refunds are paid within 14 days.",
        "tenant": "acme",
        "feature": "chat",
        "provider": "openai",
        "input_tokens": 120,
        "output_tokens": 9,
        "cost_usd": 0.00042,
        "latency_ms": 810.5,
        "retrieval_latency_ms": 35.0,
    }
    record.update(overrides)
    return {name: value for name, value in record.items() if value is not None}


def request_line(number: int = 0, **overrides: Any) -> bytes:
    """`request_record` as a line of a log, with its newline."""
    return json.dumps(request_record(number, **overrides), ensure_ascii=False).encode() + b"\n"
