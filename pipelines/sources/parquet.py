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

    Raises SourceUnfinished for a file without a footer, with damaged pages, or that has grown since it was read.
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
        for batch in table.iter_batches(batch_size=_ROWS):
            yield b"".join(_line(row) for row in batch.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise SourceUnfinished(f"{path}: {str(error).splitlines()[0]}") from error


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
