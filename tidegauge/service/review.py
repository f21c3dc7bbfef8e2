"""Cases out to reviewers, labels in from them."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from tidegauge.domain import Label, Request, iso
from tidegauge.service import surges
from tidegauge.storage import reviews
from tidegauge.storage.store import Transaction, storable

_decode_request = msgspec.json.Decoder(Request).decode
_decode_label = msgspec.json.Decoder(Label).decode


class BadLine(NamedTuple):
    """A line that is no label, counted from 1."""

    line: int
    reason: str


class LabelFile(NamedTuple):
    """labels + bad lines = lines that are not blank."""

    labels: list[Label]
    bad: list[BadLine]


def export_cases(tx: Transaction) -> Iterator[dict[str, Any]]:
    """Cases that wait for a label, most urgent first. No verdict is shown: reviewers are blind.

    `surge` says why more labels than usual are asked for of the intent; null where that is not so.
    """
    surging = {intent: row["why"] for intent, row in surges.surges(tx).items() if row["on"]}
    for row in reviews.open_cases(tx):
        request = _decode_request(bytes(row["payload"]))
        yield {
            "request_id": row["request_id"],
            "indicator": row["indicator"],
            "intent": row["intent"],
            "deployment": row["deployment"],
            "why": row["why"],
            "surge": surging.get(row["intent"]),
            "pi": row["pi"],
            "priority": row["priority"],
            "due_at": iso(row["due_at"]),
            "question": request.asked,
            "contexts": [
                {"id": passage.id, "text": passage.text, "score": passage.score} for passage in request.contexts
            ],
            "response": request.response,
        }


def parse_labels(lines: Iterable[bytes | str]) -> LabelFile:
    """JSON lines of {request_id, hallucinated: true|false|null, reviewer, note?}. Blank lines are skipped."""
    found = LabelFile([], [])
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = _decode_label(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            found.bad.append(BadLine(number, str(error)))
            continue
        wrong = next((name for name in ("request_id", "reviewer") if not _is_name(getattr(label, name))), None)
        if wrong:
            found.bad.append(BadLine(number, f"{wrong} is empty or has a NUL character"))
            continue
        note = label.note and storable(label.note)
        found.labels.append(msgspec.structs.replace(label, note=note))
    return found


def _is_name(text: str) -> bool:
    return bool(text.strip()) and "\0" not in text
