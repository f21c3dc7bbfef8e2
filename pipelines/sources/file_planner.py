"""Compares a file source with the ledger and plans what is new.

A source is a sequence of generations. Known generations are looked for first: at their path, then, after rotation,
under the source's other paths, also compressed. What is left over is new, unless a source that is no more had it: one
whose glob was written otherwise, or whose folder was moved.

A file that cannot be read holds up no other one. It may be any generation that is not found elsewhere: such a one is
held, neither retired nor begun anew under another path, until the file can be read.
"""

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from pipelines.sources import copies, files, losses
from pipelines.sources.archives import DAMAGED, is_archive, is_compressed
from pipelines.sources.source import Planning
from tidegauge.domain import HOUR, Clock, Encoding, Micros
from tidegauge.errors import SourceError
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.store import Store, Transaction

PATIENCE = HOUR
"""How long a tail without newline, or a compressed file that ends early, must lie unchanged to be taken as it is."""

_STEP = 1 << 20
_REMEMBERED = 200
"""Of the generations that are gone, the newest that a new file is compared with."""

_NAMED = 3
"""Of the files that cannot be read, those that one error names."""

_UNREADABLE = (SourceError, OSError, EOFError, *DAMAGED)

_log = logging.getLogger("tidegauge")


class FilePlanner:
    """Plans the ranges of a file source."""

    def __init__(self, store: Store, clock: Clock, planning: Planning) -> None:
        self._store = store
        self._clock = clock
        self._planning = planning
        self._failed: dict[str, str] = {}

    def plan(self, source: str) -> None:
        """One pass over the files of a glob. Raises SourceError for those that cannot be read, after all others."""
        with self._store.read() as tx:
            known, noted = ledger.generations(tx, source), ledger.copies(tx, source)
        paths, misnamed = files.matching(source)
        self._failed = {path: f"{path}: {why}" for path, why in misnamed.items()}
        followed, held = self._follow(known, paths)
        waiting: dict[str, str] = {}
        there = self._failed.keys() | {generation.path for generation in followed}
        if new := [path for path in paths if path not in there]:
            strays = self._strays(source)
            places = {os.path.realpath(generation.path): generation.path for generation in followed}
            for path in sorted(new, key=_turn):
                with self._goes_on(path):
                    files.open_log(path, Encoding.PLAIN).close()  # unread it may be any log, or a copy of any
                    if same := self._is_read_as(source, path, places):
                        waiting[path] = same
                        continue
                    adopted = self._adopt(source, path, strays)
                    if not adopted and (log := self._original(path, followed, strays, held)):
                        waiting[path] = log
                        continue
                    followed += adopted or self._begin(source, path)
                    places[os.path.realpath(path)] = path
        if waiting != noted:
            with self._store.write() as tx:
                ledger.note_copies(tx, source, waiting, self._clock.now())
        for generation in followed:
            with self._goes_on(generation.path):
                self._extend(generation)
        if self._failed:
            raise unreadable(self._failed, "files")

    @contextmanager
    def _goes_on(self, path: str) -> Iterator[None]:
        """Keeps what cannot be read of one file from the others."""
        try:
            yield
        except _UNREADABLE as error:
            self._failed[path] = _why(path, error)

    def _lies_at(self, generation: Generation, path: str, encoding: str) -> bool | None:
        """Whether the generation is at a path; None where that cannot be read."""
        found = None
        with self._goes_on(path):
            found = _is_at(generation, path, encoding)
        return found

    def _follow(self, known: Sequence[Generation], paths: Sequence[str]) -> tuple[list[Generation], list[Generation]]:
        """The generations that are still there, where they are now; those that may be. The others are retired."""
        there: list[Generation] = []
        held: list[Generation] = []
        missing: list[Generation] = []
        for generation in known:
            found = self._lies_at(generation, generation.path, generation.encoding)
            (held if found is None else there if found else missing).append(generation)
        taken = {generation.path for generation in there}
        for generation in missing:
            place, unread = self._find(generation, [p for p in paths if p not in taken], taken)
            if place is not None:
                taken.add(place.path)
                there.append(place)
            elif unread:
                held.append(generation)
            else:
                self._retire(generation)
        return there, held

    def _find(self, generation: Generation, paths: Sequence[str], taken: set[str]) -> tuple[Generation | None, bool]:
        """The generation where it is now; and if it is nowhere, whether some place for it could not be read."""
        unread = False
        candidates = [*paths, *(p for p in files.siblings(generation.path) if p not in taken and p not in paths)]
        for path in candidates if generation.identity.planned_to else ():
            encoding = _encoding_at(generation, path)
            found = self._lies_at(generation, path, encoding)
            if found:
                return msgspec.structs.replace(generation, path=path, encoding=encoding, inode=""), False
            unread = unread or found is None
        return None, unread

    def _retire(self, generation: Generation) -> None:
        with self._store.write() as tx:
            retire(tx, generation, "the file is gone, truncated or rewritten", self._clock.now())

    def _is_read_as(self, source: str, path: str, places: Mapping[str, str]) -> str | None:
        """The path under which this very file is read already: a link leads to it, or two globs name it."""
        if here := places.get(os.path.realpath(path)):
            return here
        others = self._planning.sources - {source}
        if not others:
            return None
        with self._store.read() as tx:
            return path if ledger.sources_at(tx, path) & others else None

    def _strays(self, source: str) -> list[Generation]:
        """What sources have read that this job does not have: their glob or their folder may have changed.

        And what was gone for a while, as a folder is that is mounted late.
        """
        with self._store.read() as tx:
            found = ledger.generations_of_others(tx, self._planning.sources | {source})
            found += ledger.gone_generations(tx, source, _REMEMBERED)
        return [g for g in found if g.encoding != Encoding.KAFKA and "://" not in g.path and g.identity.planned_to]

    def _adopt(self, source: str, path: str, strays: Sequence[Generation]) -> list[Generation]:
        """The stray that lies at the path, now of this source. One that is still where it was keeps its copies away."""
        here = files.facts(path)
        for stray in strays:
            encoding = _encoding_at(stray, path)
            there = files.facts(stray.path)
            left = there is None or (here is not None and here.inode == there.inode)  # else only the path is another
            if not left and stray.state != "gone":
                continue
            if not _is_at(stray, path, encoding):
                continue
            if left or not _is_at(stray, stray.path, stray.encoding):  # the place of one that is gone may be another's
                adopted = msgspec.structs.replace(stray, source=source, path=path, encoding=encoding, inode="")
                with self._store.write() as tx:
                    ledger.adopt_generation(tx, adopted)
                _log.info("%s: goes on with what was read as %s", path, stray.source)
                return [adopted]
        return []

    def _original(
        self, path: str, live: Sequence[Generation], strays: Sequence[Generation], held: Sequence[Generation]
    ) -> str | None:
        """The log that a new file waits for: it may be a copy of it, or one that is held, elsewhere."""
        log = path.rpartition(".")[0]
        if is_compressed(path) and log in self._failed:
            return log
        for one in held:
            if one.identity.planned_to and _is_at(one, path, _encoding_at(one, path)):
                return one.path
        found = files.facts(path)
        at_rest = found is None or self._planning.final or self._clock.now() - found.modified >= PATIENCE
        return copies.original(path, live, [*strays, *held], at_rest)

    def _begin(self, source: str, path: str) -> list[Generation]:
        found = files.facts(path)
        if found is None or not found.size:
            return []
        now = self._clock.now()
        generation = Generation(
            generation=uuid.uuid4().hex[:16],
            source=source,
            path=path,
            encoding=Encoding.ARCHIVE if is_archive(path) else Encoding.PLAIN,
            inode=found.inode,
            identity=Identity(),
            size_seen=found.size,
            unchanged_since=min(now, found.modified),
            state="live",
        )
        with self._store.write() as tx:
            if tx.dialect == "postgresql":
                tx.rows("lock_planner")
            for other in ledger.generations_at(tx, source, path):
                if _is_at(other, path, other.encoding):
                    return [other]  # another run was faster
            ledger.insert_generation(tx, generation, now)
        return [generation]

    def _extend(self, generation: Generation) -> None:
        """Plans what the generation has grown by."""
        found = files.facts(generation.path)
        if found is None:
            return
        now = self._clock.now()
        grown = found.size != generation.size_seen
        since = now if grown else generation.unchanged_since
        signature = _signature(generation.encoding, found)
        noted = msgspec.structs.replace(generation, inode=signature, size_seen=found.size, unchanged_since=since)
        if noted != generation:
            with self._store.write() as tx:
                ledger.note_generation(tx, noted)
        at_rest = self._planning.final or now - since >= PATIENCE
        if generation.encoding == Encoding.ARCHIVE:
            self._extend_archive(noted, found.size, at_rest, now)
        elif not (generation.encoding == Encoding.ROTATED and generation.inode == signature):
            self._extend_plain(noted, at_rest, now)

    def _extend_plain(self, generation: Generation, at_rest: bool, now: Micros) -> None:
        start = generation.identity.planned_to
        with files.open_log(generation.path, generation.encoding) as log:
            if not _is_still(log, generation):
                return
            size = files.length(log, generation.encoding)
            cuts = cut_points(log, start, size, self._planning.block_bytes, take_tail=at_rest)
            identity = files.identify(log, cuts[-1]) if cuts else None
        if identity is not None:
            with self._store.write() as tx:
                ledger.plan_ranges(tx, generation.generation, start, cuts, identity, now)

    def _extend_archive(self, generation: Generation, size: int, at_rest: bool, now: Micros) -> None:
        planned = generation.identity.planned_to
        with self._store.read() as tx:
            unfinished = ledger.open_blocks(tx, generation.generation)
        if size == planned:
            return
        with files.open_log(generation.path, generation.encoding) as log:
            if not _is_still(log, generation):
                return
            identity = files.identify(log, size)
        with self._store.write() as tx:
            if unfinished:
                start = int(unfinished[-1]["start"])
                ledger.stretch_block(tx, generation.generation, start, identity, planned, now)
            else:
                ledger.plan_ranges(tx, generation.generation, planned, [size], identity, now)


def _turn(path: str) -> tuple[bool, bool]:
    """What a compressed file may be a copy of is known before it, and the file before links to it."""
    return is_compressed(path), os.path.islink(path)


def unreadable(failed: Mapping[str, str], what: str) -> SourceError:
    """One error for all that could not be read, and why, by path."""
    said = [why for _, why in sorted(failed.items())]
    more = f"; and {len(said) - _NAMED} more {what}" if len(said) > _NAMED else ""
    return SourceError("; ".join(said[:_NAMED]) + more)


def retire(tx: Transaction, generation: Generation, why: str, now: Micros) -> None:
    """Ends a generation; a ticket for what of it was planned and is lost."""
    lost = ledger.retire(tx, generation.generation, why, now)
    if lost:
        size = sum(row["stop"] - row["start"] for row in lost)
        losses.tell(tx, generation, {"blocks": len(lost), "bytes": size}, now)


def _why(path: str, error: Exception) -> str:
    if isinstance(error, SourceError):
        return str(error)  # names the file
    return f"{path}: {(error.strerror if isinstance(error, OSError) else None) or error or type(error).__name__}"


def _encoding_at(generation: Generation, path: str) -> str:
    """A plain log that is found in a compressed file was rotated."""
    rotated = generation.encoding == Encoding.PLAIN and is_compressed(path)
    return Encoding.ROTATED if rotated else generation.encoding


def _is_at(generation: Generation, path: str, encoding: str) -> bool:
    found = files.facts(path)
    if found is None:
        return False
    if encoding == Encoding.ROTATED and generation.inode == _signature(encoding, found):
        return True
    if encoding != Encoding.ROTATED and found.size < generation.identity.planned_to:
        return False
    return files.matches(path, encoding, generation.identity)


def _is_still(log: BinaryIO, generation: Generation) -> bool:
    """Whether an open log is the generation's: it may have been rotated since the look began, which the next one sees.

    What is found compressed was written before, and its end is far to go back from.
    """
    return generation.encoding == Encoding.ROTATED or files.holds(log, generation.identity)


def _signature(encoding: str, found: files.Facts) -> str:
    """Equal signatures of a compressed file spare its decompression."""
    if encoding == Encoding.ROTATED:
        return f"{found.inode}:{found.size}:{found.modified}"
    return found.inode


def cut_points(log: BinaryIO, start: int, size: int, block_bytes: int, take_tail: bool) -> list[int]:
    """Ends of the blocks in [start, size): each behind a newline; the last also at `size` if the tail is taken."""
    end = size if take_tail else _after_last_newline(log, start, size)
    cuts: list[int] = []
    while start < end:
        start = _after_newline(log, start + block_bytes - 1, end) if start + block_bytes < end else end
        cuts.append(start)
    return cuts


def _after_newline(log: BinaryIO, start: int, end: int) -> int:
    """Offset behind the first newline at or after `start`; `end` where there is none."""
    log.seek(start)
    while start < end:
        data = log.read(min(_STEP, end - start))
        if not data:
            break
        place = data.find(b"\n")
        if place >= 0:
            return start + place + 1
        start += len(data)
    return end


def _after_last_newline(log: BinaryIO, start: int, size: int) -> int:
    """Offset behind the last newline in [start, size); `start` where there is none."""
    stop = size
    while stop > start:
        begin = max(start, stop - _STEP)
        log.seek(begin)
        place = log.read(stop - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        stop = begin
    return start
