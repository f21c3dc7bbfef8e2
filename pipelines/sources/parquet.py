"""Parquet files as JSON lines: a column for each key of the request log, a row for each request."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import msgspec

from tidegauge.errors import SourceUnfinished

_ROWS = 512
_NESTED = ("contexts", "messages", "expected_document_ids")
"""Columns that may hold their JSON as text."""


def read_parquet(file: BinaryIO, path: str, start: int, stop: int) -> Iterator[bytes]:
    """Lines of a whole file, some hundred rows at a time. Nulls are left out, keys in the order of the columns.

    Raises SourceUnfinished for a file without a footer, with damaged pages or values that no text can be made of, or
    that has grown since it was read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if start:
        raise SourceUnfinished(f"{path}: has grown behind byte {start}; a Parquet file is written once")
    file.seek(0, 2)
    if file.tell() < stop:
        raise SourceUnfinished(f"{path}: ends before byte {stop}, which was planned")
    file.seek(0)
    try:
        table = pq.ParquetFile(file)
        schema = pa.schema([_in_micros(column) for column in table.schema_arrow])
        for batch in table.iter_batches(batch_size=_ROWS):
            yield b"".join(_line(row) for row in batch.cast(schema, safe=False).to_pylist())
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # the last two of what Python cannot hold
        raise SourceUnfinished(f"{path}: {str(error).splitlines()[0]}") from error


def _in_micros(field: Any) -> Any:
    """A column's type with the nanoseconds of its times cut off, in lists and structs too: Python's have none."""
    import pyarrow as pa

    kind = field.type
    if getattr(kind, "unit", None) == "ns":
        zone = (kind.tz,) if pa.types.is_timestamp(kind) else ()
        make = pa.timestamp if zone else pa.duration if pa.types.is_duration(kind) else pa.time64
        return field.with_type(make("us", *zone))
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_in_micros(inner) for inner in kind]))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return field.with_type(make(_in_micros(kind.value_field)))
    return field


def _line(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode(_without_nulls(row), enc_hook=_encode) + b"\n"


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in row.items():
        if value is None:
            continue
        if isinstance(value, str) and name in _NESTED:
            found[name] = _json(value)
        elif isinstance(value, datetime):
            found[name] = _time(value)
        else:
            found[name] = _inner(value)
    return found


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_nulls(value)
    return [_inner(one) for one in value] if isinstance(value, list) else value


def _json(text: str) -> Any:
    """As it stands, if it is JSON; what is not will be refused as a record, with its reason."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return msgspec.Raw(text.encode())


def _time(value: datetime) -> str:
    """Arrow's times without a zone are UTC, as those of nearly every writer."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return str(value)
