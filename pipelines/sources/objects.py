"""Objects of a cloud store by glob, s3://… and gs://…, through Beam's filesystems.

An object is written once. Its generation is its size and entity tag: what was overwritten is another generation.
"""

import importlib.util
import io
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, NamedTuple

import msgspec
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import RuntimeValueProvider

from pipelines.cutter import READ_BYTES
from pipelines.sources.archives import is_archive, read_archive
from pipelines.sources.file_planner import cut_points, retire, unreadable
from pipelines.sources.source import Behind, Planning
from tidegauge.domain import Block, Clock, Encoding, Micros
from tidegauge.errors import ConfigError, SourceChanged, SourceError
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Claimed, Generation, Identity
from tidegauge.storage.store import Store

LIST_SECONDS = 10.0
"""Between two listings of a stream: each of them is paid for."""

ANSWER_SECONDS = 20.0
"""How long a cloud store has for an answer. Beam's clients ask again for ten minutes, and a tick must not hang."""

REST_SECONDS = 60.0
"""After a question without an answer, none is asked for so long."""

_EXTRAS = {"s3": ("boto3", "s3"), "gs": ("google.cloud.storage", "gcs")}


class _Seen(NamedTuple):
    """An object as a listing has it. `version` changes when it is overwritten, and perhaps when it is only touched."""

    path: str
    size: int
    version: str


def check(pattern: str) -> None:
    """Raises ConfigError for a scheme that is not known, or whose client is not installed."""
    scheme = pattern.partition("://")[0]
    if scheme not in _EXTRAS:
        raise ConfigError(f"sources: {pattern}: expected s3://… or gs://…, or a path of this machine")
    module, extra = _EXTRAS[scheme]
    try:
        missing = importlib.util.find_spec(module) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise ConfigError(f"sources: {pattern}: its client is not installed; next: pip install 'tidegauge[{extra}]'")


class ObjectSource:
    """Objects that a glob names. Which of them were read is in the ledger."""

    def __init__(self, pattern: str) -> None:
        self.name = pattern
        self._rests_until = -math.inf
        self._why: SourceError | None = None
        self._silent: dict[str, int] = {}
        """Objects of which no answer came, and in which of all questions."""
        self._asked = 0

    def plan(self, store: Store, clock: Clock, planning: Planning) -> None:
        """Raises SourceError for what cannot be read, after all others, and until the next listing."""
        if time.monotonic() >= self._rests_until:
            rest = LIST_SECONDS
            try:
                self._why = self._look(store, clock, planning)
            except SourceError as error:
                rest, self._why = REST_SECONDS, error
            self._rests_until = time.monotonic() + rest
        if self._why is not None:
            raise self._why

    def _look(self, store: Store, clock: Clock, planning: Planning) -> SourceError | None:
        """One pass over all objects; what is to be said of those that cannot be read. A known one of them is held.

        Raises SourceError when the store itself does not answer.
        """
        there = _listed(self.name)
        failed: dict[str, str] = {}
        with store.read() as tx:
            known = {generation.path: generation for generation in ledger.generations(tx, self.name)}
        for path in sorted(known.keys() | there.keys(), key=self._turn):
            with self._goes_on(path, failed):
                self._follow(store, clock, known.get(path), there.get(path), planning.block_bytes)
        return unreadable(failed, "objects") if failed else None

    def _turn(self, path: str) -> tuple[int, str]:
        """Those that did not answer come last, the one that was asked last behind them: it may be they alone."""
        return self._silent.get(path, 0), path

    @contextmanager
    def _goes_on(self, path: str, failed: dict[str, str]) -> Iterator[None]:
        """Keeps what cannot be read of one object from the others."""
        self._asked += 1
        try:
            yield
            self._silent.pop(path, None)
        except _Silence:
            self._silent[path] = self._asked
            raise
        except SourceError as error:
            failed[path] = str(error)

    def _follow(
        self, store: Store, clock: Clock, known: Generation | None, seen: _Seen | None, block_bytes: int
    ) -> None:
        if known is not None:
            if seen is not None and self._is_same(store, known, seen):
                return
            with store.write() as tx:
                retire(tx, known, "the object is gone or was overwritten", clock.now())
        if seen is not None and seen.size:
            self._begin(store, clock, seen, block_bytes)

    def read(self, claimed: Claimed) -> Iterator[bytes]:
        block, tag = claimed.block, claimed.identity.prefix_hash
        _must_be(block, tag)
        with _Errors(block.path), closing(_open(block.path)) as file:
            if block.encoding == Encoding.ARCHIVE:
                yield from read_archive(file, block.path, block.start, block.stop)
            else:
                yield from _range(file, block)
        _must_be(block, tag)

    def place(self, block: Block, start: int) -> int:
        return block.start + start

    def at_rest(self, block: Block, now: Micros) -> bool:
        del block, now
        return True  # there is no half of an object: what is damaged stays so

    def behind(self, store: Store) -> list[Behind]:
        """What is listed is planned in the same look."""
        del store
        return []

    def close(self) -> None:
        """Objects are closed after each read."""

    @staticmethod
    def _is_same(store: Store, generation: Generation, seen: _Seen) -> bool:
        """Whether it has the content that was planned; if it was only touched, that is noted."""
        if generation.inode == seen.version:
            return True
        if seen.size != generation.size_seen or _tag(seen.path) != generation.identity.prefix_hash:
            return False
        with store.write() as tx:
            ledger.note_generation(tx, msgspec.structs.replace(generation, inode=seen.version))
        return True

    def _begin(self, store: Store, clock: Clock, seen: _Seen, block_bytes: int) -> None:
        """Plans a whole object at once, its last line too, whether it ends with a newline or not."""
        tag, cuts = _tag(seen.path), [seen.size]
        if not is_archive(seen.path):
            with _Errors(seen.path), closing(_open(seen.path)) as file:
                cuts = cut_points(file, 0, seen.size, block_bytes, take_tail=True)
        now = clock.now()
        generation = Generation(
            generation=uuid.uuid4().hex[:16],
            source=self.name,
            path=seen.path,
            encoding=Encoding.ARCHIVE if is_archive(seen.path) else Encoding.PLAIN,
            inode=seen.version,
            identity=Identity(prefix_hash=tag),
            size_seen=seen.size,
            unchanged_since=now,
            state="live",
        )
        planned = Identity(prefix_hash=tag, planned_to=seen.size)
        with store.write() as tx:
            if tx.dialect == "postgresql":
                tx.rows("lock_planner")
            if ledger.generations_at(tx, self.name, seen.path):
                return  # another planner was faster
            ledger.insert_generation(tx, generation, now)
            ledger.plan_ranges(tx, generation.generation, 0, cuts, planned, now)


class _Silence(SourceError):
    """A cloud store that does not answer will hardly answer for the next object."""


class _Errors:
    """Turns what a client raises, whichever it is, into a SourceError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, SourceError | GeneratorExit) or not isinstance(error, Exception):
            return
        if isinstance(error, FileNotFoundError) or "404" in str(error) or "NoSuchKey" in str(error):
            raise SourceChanged(f"{self._path}: is gone") from error
        raise SourceError(f"{self._path}: {_line(error)}") from error


def _answer(path: str, ask: Callable[[], Any]) -> Any:
    """What `ask` returns, if that is soon. Raises SourceError."""
    said: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def work() -> None:
        try:
            said.put((ask(), None))
        except Exception as error:  # noqa: BLE001 - whatever a client raises; it is raised again where it is waited for
            said.put((None, error))

    threading.Thread(target=work, daemon=True, name="cloud store").start()
    with _Errors(path):
        try:
            found, error = said.get(timeout=ANSWER_SECONDS)
        except Empty:
            raise _Silence(f"{path}: no answer within {ANSWER_SECONDS:g} s") from None
        if error is not None:
            raise error
        return found


def _line(error: Exception) -> str:
    inner = next(iter(error.exception_details.values()), error) if isinstance(error, BeamIOError) else error
    text = str(inner).strip() or type(inner).__name__
    return text.splitlines()[0][:300]


def _listed(pattern: str) -> Mapping[str, _Seen]:
    """Objects by path. Raises SourceError."""
    _prepare()
    found = _answer(pattern, lambda: FileSystems.match([pattern])[0].metadata_list)
    seen = (
        _Seen(one.path, one.size_in_bytes, f"{one.size_in_bytes}:{one.last_updated_in_seconds}")
        for one in sorted(found, key=lambda one: str(one.path))
    )
    return {one.path: one for one in seen}


def _tag(path: str) -> str:
    """The entity tag, which the content decides. Raises SourceError, SourceChanged where there is no such object."""
    _prepare()
    return str(_answer(path, lambda: FileSystems.checksum(path)))


def _must_be(block: Block, tag: str) -> None:
    if _tag(block.path) != tag:
        raise SourceChanged(f"{block.path}: was overwritten since it was planned")


def _open(path: str) -> BinaryIO:
    _prepare()
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _range(file: BinaryIO, block: Block) -> Iterator[bytes]:
    file.seek(block.start, io.SEEK_SET)
    left = block.stop - block.start
    while left:
        data = file.read(min(READ_BYTES, left))
        if not data:
            raise SourceChanged(f"{block.path}: ends before byte {block.stop}, which was planned")
        left -= len(data)
        yield data


def _prepare() -> None:
    """Beam's filesystems want options, which they have inside a running pipeline alone."""
    if FileSystems._pipeline_options is None and RuntimeValueProvider.runtime_options is None:
        FileSystems.set_options(PipelineOptions([]))
