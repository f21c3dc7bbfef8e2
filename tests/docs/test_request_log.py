"""The page of the request log says what the code does."""

import json
import re
from typing import Any

import pytest

from pipelines.cutter import MAX_LINE
from pipelines.records import InvalidRecord, Line, Reason, decode_request, read_line
from pipelines.scan import FUTURE
from tests.docs.test_docs import DOCS, blocks
from tidegauge.domain import MINUTE

PAGE = DOCS / "request-log.md"
REQUIRED = {"request_id", "timestamp", "intent", "model_version", "prompt_version", "retrieval_index"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    table = [row.strip("|").split(" | ") for row in text.splitlines() if row.startswith("| `")]
    return [[cell.strip() for cell in row] for row in table]


def example() -> dict[str, Any]:
    (text,) = blocks(PAGE, "json")
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_example_is_a_whole_record() -> None:
    data = blocks(PAGE, "json")[0].strip().encode()
    request = decode_request(data, read_line(data))
    assert set(example()) == {*Line.__struct_fields__, "region"}
    assert next((c.id, c.text) for c in request.contexts) == (None, "Shipping costs are not refunded.")
    assert request.extra == {"region": "eu-west"}


def test_every_field_has_a_row_that_says_whether_it_is_required() -> None:
    said = {name: row[1] for row in rows("Fields") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(said) == set(Line.__struct_fields__)
    assert {name for name, kind in said.items() if kind.endswith("required")} == REQUIRED


def test_every_reason_has_a_row() -> None:
    assert {row[0].strip("`") for row in rows("Quarantine")} == set(Reason)
    assert (MAX_LINE, FUTURE) == (8 << 20, 5 * MINUTE)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("request_id", "x" * 256, ""),
        ("tenant", "", "x" * 257),
        ("input_tokens", 2**40, 2**40 + 1),
        ("cost_usd", 10_000, 10_001),
        ("latency_ms", 1e12, 1.1e12),
        ("retrieval_latency_ms", 0, -1),
        ("feedback", -1, 2),
        ("status", "timeout", "failed"),
        ("served_by", "rule", "human"),
        ("timestamp", "2026-11-06T09:14:03+02:00", "2026-11-06T09:14:03"),
    ],
)
def test_the_ranges_are_those_that_hold(field: str, good: Any, bad: Any) -> None:
    read_line(json.dumps(example() | {field: good}).encode())
    with pytest.raises(InvalidRecord):
        read_line(json.dumps(example() | {field: bad}).encode())


@pytest.mark.parametrize("field", sorted(REQUIRED))
def test_what_is_required_is(field: str) -> None:
    with pytest.raises(InvalidRecord):
        read_line(json.dumps({k: v for k, v in example().items() if k != field}).encode())
