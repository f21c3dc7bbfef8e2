"""Compressed logs and Parquet files: their bytes as JSON lines, in pieces of bounded size.

A file that ends early, or is damaged, is SourceUnfinished: it may still be being written.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from pipelines.cutter import READ_BYTES
from tidegauge.errors import SourceUnfinished

GZIP, ZSTD, PARQUET = ".gz", ".zst", ".parquet"

_ZSTD_STEP = 2048
"""Bytes that are given to Zstandard at once: as little as 4 of them can become 128 kB."""

DAMAGED = (zlib.error, zstandard.ZstdError)


def is_compressed(path: str) -> bool:
    """Whether rotation may have made it of a plain log."""
    return path.endswith((GZIP, ZSTD))


def is_archive(path: str) -> bool:
    """Whether it can only be read as a whole."""
    return is_compressed(path) or path.endswith(PARQUET)


def open_compressed(path: str) -> BinaryIO:
    """The log's own bytes by offset."""
    if path.endswith(ZSTD):
        return cast(BinaryIO, io.BufferedReader(_Zstd(path)))
    return cast(BinaryIO, gzip.open(path, "rb"))


class _Zstd(io.RawIOBase):
    """A .zst file by offset: Zstandard's reader goes forward only, so it begins anew to go back."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        source = Path(self._path).open("rb")  # noqa: SIM115 - the reader closes it
        self._reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True, closefd=True)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        try:
            return self._reader.readinto(buffer)
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error

    def tell(self) -> int:
        return self._reader.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the begin")
        if offset < self._reader.tell():
            self._reader.close()
            self._open()
        scratch = bytearray(READ_BYTES)
        while (left := offset - self._reader.tell()) > 0:
            if not self.readinto(memoryview(scratch)[: min(left, READ_BYTES)]):
                break
        return self._reader.tell()

    def close(self) -> None:
        self._reader.close()
        super().close()


class _Member(Protocol):
    """One compressed stream of possibly several in a file."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of some more bytes. Raises one of DAMAGED."""


class _GzipMember:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data.lstrip(b"\0")  # tapes and some tools pad with zeros

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            out = self._stream.decompress(data, READ_BYTES)
            if out:
                yield out
            data = self._stream.unconsumed_tail
            if not data and not self.eof and not out:
                return


class _ZstdMember:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor().decompressobj()
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_STEP):
            out = self._stream.decompress(data[start : start + _ZSTD_STEP])
            yield from (out[at : at + READ_BYTES] for at in range(0, len(out), READ_BYTES))
            if self.eof:
                self.unused_data = self._stream.unused_data + data[start + _ZSTD_STEP :]
                return


def read_archive(file: BinaryIO, path: str, start: int, stop: int) -> Iterator[bytes]:
    """JSON lines of a file range that holds whole compressed streams, or of a whole Parquet file."""
    if path.endswith(PARQUET):
        from pipelines.sources.parquet import read_parquet

        yield from read_parquet(file, path, start, stop)
    else:
        yield from _inflate(file, path, start, stop, _ZstdMember if path.endswith(ZSTD) else _GzipMember)


def _inflate(file: BinaryIO, path: str, start: int, stop: int, new: Callable[[], _Member]) -> Iterator[bytes]:
    file.seek(start)
    left = stop - start
    member, fresh = new(), True
    while left:
        data = file.read(min(READ_BYTES, left))
        if not data:
            raise SourceUnfinished(f"{path}: ends before byte {stop}, which was planned")
        left -= len(data)
        while data:
            try:
                yield from member.feed(data)
            except DAMAGED as error:
                raise SourceUnfinished(f"{path}: {error}") from error
            fresh = member.eof
            data = member.unused_data if fresh else b""
            if fresh:
                member = new()
    if not fresh:
        raise SourceUnfinished(f"{path}: the compressed stream does not end at byte {stop}")
