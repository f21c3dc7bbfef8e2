"""The input contract: from the bytes of a line to a valid record, or to a reason why not.

Two decoders. `Line` reads what every request must be right in and leaves retrieved passages and messages as raw
bytes; it is all that the unsampled requests ever pass. `decode_request` reads a sampled line whole, unknown fields
included; what is wrong inside a passage is found there.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from tidegauge.domain import SECOND, Context, Deployment, Message, Micros, Request, ServedBy, Status

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Segment = Annotated[str, msgspec.Meta(max_length=256)] | None
Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)] | None
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e4)] | None  # so that sums fit into 64 bits of nano-dollars
Duration = Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None
Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]


class Reason(StrEnum):
    """Why a line is in quarantine."""

    INVALID_UTF8 = "invalid_utf8"
    LINE_TOO_LONG = "line_too_long"  # over MAX_LINE bytes
    MALFORMED_JSON = "malformed_json"  # NaN, Infinity, lone surrogates and raw control characters included
    TOO_DEEP = "too_deep"  # nested deeper than the decoder goes, about 900 levels
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    MISSING_RESPONSE = "missing_response"  # status ok without an answer
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"  # negative or huge numbers, infinities, empty or overlong names, unknown words
    NUL_CHARACTER = "nul_character"  # in a name; inside texts it is kept
    INVALID_TIMESTAMP = "invalid_timestamp"
    TIMESTAMP_TOO_NEW = "timestamp_too_new"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"


class Line(msgspec.Struct, gc=False):
    """What is read of every request. Of doubled keys the last one counts, as in most JSON readers."""

    request_id: Key
    timestamp: Timestamp
    intent: Key
    model_version: Key
    prompt_version: Key
    retrieval_index: Key
    response: str | None = None
    question: str | None = None
    contexts: list[msgspec.Raw] | None = None
    messages: list[msgspec.Raw] | None = None
    tenant: Segment = None
    feature: Segment = None
    experiment: Segment = None
    cohort: Segment = None
    provider: Segment = None
    user_id: Segment = None
    conversation_id: Segment = None
    trace_id: Segment = None
    input_tokens: Count = None
    output_tokens: Count = None
    cost_usd: Amount = None
    latency_ms: Duration = None
    retrieval_latency_ms: Duration = None
    status: Status | None = None
    served_by: ServedBy | None = None
    feedback: Literal[-1, 0, 1] | None = None
    expected_document_ids: list[Key] | None = None


NAMES = (
    "request_id",
    "intent",
    "model_version",
    "prompt_version",
    "retrieval_index",
    "tenant",
    "feature",
    "experiment",
    "cohort",
    "provider",
)
"""Fields that become part of keys in the store, where no NUL can stand."""

_decode_line = msgspec.json.Decoder(Line).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_decode_contexts = msgspec.json.Decoder(tuple[Context | str, ...]).decode
_decode_messages = msgspec.json.Decoder(tuple[Message, ...]).decode


class InvalidRecord(Exception):
    """A line that does not fit the contract."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_line(line: bytes | memoryview) -> Line:
    """One line, checked as every line is. Raises InvalidRecord."""
    try:
        record = _decode_line(_unmarked(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecord(*classify(error)) from None
    for name in NAMES:
        if "\0" in (getattr(record, name) or ""):
            raise InvalidRecord(Reason.NUL_CHARACTER, name)
    return record


def _unmarked(line: bytes | memoryview) -> bytes | memoryview:
    """Without the byte order mark that a log may begin with, or each of several that were joined."""
    return line[len(BOM_UTF8) :] if line[: len(BOM_UTF8)] == BOM_UTF8 else line


def lacks_response(record: Line) -> bool:
    return record.response is None and record.status in (None, "ok")


def event_time(record: Line) -> Micros:
    return round(record.timestamp.timestamp() * SECOND)


def decode_request(line: bytes, record: Line) -> Request:
    """The whole request of a line that was read as `record`, unknown fields under `extra`. Raises InvalidRecord."""
    try:
        fields = _decode_fields(_unmarked(line))
        contexts = _decode_contexts(_array(record.contexts))
        messages = _decode_messages(_array(record.messages))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecord(*classify(error)) from None
    return Request(
        request_id=record.request_id,
        timestamp=event_time(record),
        intent=record.intent,
        deployment=Deployment(
            model_version=record.model_version,
            prompt_version=record.prompt_version,
            retrieval_index=record.retrieval_index,
        ),
        status=record.status or "ok",
        served_by=record.served_by or "primary",
        contexts=tuple(Context(text=c) if isinstance(c, str) else c for c in contexts),
        messages=messages,
        expected_document_ids=tuple(record.expected_document_ids or ()),
        extra={name: value for name, value in fields.items() if name not in _KNOWN},
        **{name: getattr(record, name) for name in _COPIED},
    )


_KNOWN = frozenset(Line.__struct_fields__)
_COPIED = tuple(
    name
    for name in Line.__struct_fields__
    if name in Request.__struct_fields__
    and name
    not in {"request_id", "timestamp", "intent", "status", "served_by", "contexts", "messages", "expected_document_ids"}
)


def _array(items: Sequence[msgspec.Raw] | None) -> bytes:
    return b"[" + b",".join(bytes(item) for item in items or ()) + b"]"


def classify(error: Exception) -> tuple[Reason, str]:
    """The reason behind a decoder's error, and the decoder's words."""
    text = str(error)[:200]
    if isinstance(error, RecursionError):
        return Reason.TOO_DEEP, "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return Reason.INVALID_UTF8, text
    if not isinstance(error, msgspec.ValidationError):
        return Reason.MALFORMED_JSON, text
    return _broken_rule(text), text


def _broken_rule(text: str) -> Reason:
    """What the decoder's words about a well-formed line mean."""
    if text.startswith("Object missing required field"):
        return Reason.MISSING_FIELD
    if text.startswith("Expected `object`") and "- at" not in text:
        return Reason.NOT_AN_OBJECT
    if "RFC3339" in text or "timezone component" in text:
        return Reason.INVALID_TIMESTAMP
    return Reason.WRONG_TYPE if "got `" in text else Reason.OUT_OF_RANGE
