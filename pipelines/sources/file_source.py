"""Local log files by glob, .jsonl and .jsonl.gz, as a source."""

from collections.abc import Iterator

from pipelines.sources import files
from pipelines.sources.file_planner import PATIENCE, FilePlanner
from pipelines.sources.source import Behind, Planning
from tidegauge.domain import Block, Clock, Encoding, Micros
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Claimed
from tidegauge.storage.store import Store


class FileSource:
    """Files that a glob names."""

    def __init__(self, pattern: str) -> None:
        self.name = pattern

    def plan(self, store: Store, clock: Clock, planning: Planning) -> None:
        FilePlanner(store, clock, planning).plan(self.name)

    def read(self, claimed: Claimed) -> Iterator[bytes]:
        return files.read_block(claimed.block, claimed.identity)

    def place(self, block: Block, start: int) -> int:
        return block.start + start

    def at_rest(self, block: Block, now: Micros) -> bool:
        found = files.facts(block.path)
        return found is None or now - found.modified >= PATIENCE

    def behind(self, store: Store) -> list[Behind]:
        """A line that is not finished yet is behind, too."""
        with store.read() as tx:
            known = ledger.generations(tx, self.name)
            copies = ledger.copies(tx, self.name)
        planned = {g.path: g.identity.planned_to for g in known if g.encoding != Encoding.ROTATED}
        seen = {path: files.facts(path) for path in files.matching(self.name)[0] if path not in copies}
        return [
            Behind(path, found.size - planned.get(path, 0), "bytes")
            for path, found in seen.items()
            if found is not None and found.size > planned.get(path, 0)
        ]

    def close(self) -> None:
        """Files are closed after each read."""
