"""Request log lines for tests."""

import json
from datetime import UTC, datetime
from typing import Any

NOON = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def record(**changes: Any) -> dict[str, Any]:
    return {
        "request_id": "r-1",
        "timestamp": "2026-11-01T12:00:00Z",
        "intent": "refunds.policy",
        "model_version": "m-1",
        "prompt_version": "p-1",
        "retrieval_index": "i-1",
        "question": "When do refunds arrive?",
        "contexts": [{"id": "c-1", "text": "Refunds arrive within ten days.", "score": 0.9}],
        "response": "Within ten days.",
        "tenant": "acme",
        "input_tokens": 120,
        "output_tokens": 12,
        "cost_usd": 0.001,
        "latency_ms": 812.5,
    } | changes


def line(**changes: Any) -> bytes:
    return json.dumps(record(**changes), ensure_ascii=False).encode()
