"""The ledger: which ranges of which sources are planned, done or lost, and who is at work on them."""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import psutil

from tidegauge.domain import HOUR, SECOND, Block, Micros, Request, Sample, short_hash
from tidegauge.errors import StoreConflict
from tidegauge.storage.store import Row, Transaction

HEARTBEAT = 2 * SECOND
DEAD_AFTER = 10 * SECOND
SKEW = 60 * SECOND
"""How far the clocks of owners may be apart; a heartbeat further ahead was written before a clock was set back."""

LEASE = 30 * SECOND
"""How long work in hand stays with a stream's owner without word of it: engines lose elements whose worker lives on."""

BEHIND = HOUR
"""A block that could not be read lets those go first that are planned within so long after. Long, for each tick tries
only some: of very many, each was last tried a while ago, and what is new must still come before it."""

NEVER = 1 << 62
"""Until when a job that looks once keeps what it has claimed: as long as it lives."""

_NAMES = 500  # in one statement

_decode_request = msgspec.json.Decoder(Request).decode


class Identity(msgspec.Struct, frozen=True):
    """What the bytes of a generation must look like for it to be the one that was planned.

    Of a Kafka partition, `prefix_hash` is the topic's id and `tail_hash` the cluster's.
    """

    prefix_length: int = 0
    prefix_hash: str = ""
    planned_to: int = 0
    tail_length: int = 0
    tail_hash: str = ""


class Generation(msgspec.Struct, frozen=True):
    """One life of a file: from its first byte until it is rotated away or truncated. Or of a Kafka partition, whose
    path is TOPIC/NUMBER and whose `inode` says what is wrong with it, since `unchanged_since`.
    """

    generation: str
    source: str
    path: str
    encoding: str
    inode: str
    identity: Identity
    size_seen: int
    unchanged_since: Micros
    state: str


class Owner(msgspec.Struct, frozen=True):
    """A process at work."""

    name: str
    host: str
    """Where its process id means something: a host, and one of its pid namespaces."""
    pid: int
    pid_started: float
    job: str = ""
    """The stream it works for."""

    @classmethod
    def this_process(cls, now: Micros, job: str = "") -> "Owner":
        pid, host = os.getpid(), _here()
        started = psutil.Process(pid).create_time()
        return cls(short_hash(host, str(pid), str(started), str(now), job), host, pid, started, job)


def _here() -> str:
    """Containers may share the name of their host, and each has a process 1."""
    name = socket.gethostname()
    try:
        return f"{name} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return name


def beat(tx: Transaction, owner: Owner, now: Micros) -> None:
    values = msgspec.structs.asdict(owner)
    tx.run("beat", owner=values.pop("name"), now=now, **values)


def leave(tx: Transaction, owner: Owner) -> None:
    """Gives back what the owner had claimed."""
    give_back(tx, owner.name)
    tx.run("leave", owner=owner.name)


def give_back(tx: Transaction, owner: str, sweep: str = "") -> None:
    """What the owner still holds is free again, for this sweep, too: it is not in its hands if an answer was lost."""
    tx.run("release_samples", owner=owner, sweep=sweep)
    tx.run("release_blocks", owner=owner)


def live_owners(tx: Transaction, now: Micros) -> list[str]:
    """Names of those who still work: a fresh heartbeat, and not a process of this host that is gone."""
    return [row["owner"] for row in live_rows(tx, now)]


def live_rows(tx: Transaction, now: Micros) -> list[Row]:
    """The same, with all that is known of them."""
    return [row for row in tx.rows("owners") if _beats(row, now) and not gone(row)]


def _beats(row: Row, now: Micros) -> bool:
    return bool(now - DEAD_AFTER <= row["heartbeat_at"] <= now + SKEW)


def gone(row: Row) -> bool:
    """Whether the process of a row, by host and process id, is known to have ended."""
    if row["host"] != _here():
        return False
    try:
        process = psutil.Process(row["pid"])
        return abs(process.create_time() - row["pid_started"]) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def generations(tx: Transaction, source: str) -> list[Generation]:
    """Those that are still followed."""
    return [_generation(row) for row in tx.rows("generations", source=source)]


def generations_at(tx: Transaction, source: str, path: str) -> list[Generation]:
    """Those of them that lie at a path."""
    return [_generation(row) for row in tx.rows("generations_at", source=source, path=path)]


def sources_at(tx: Transaction, path: str) -> set[str]:
    """Whose generations lie at a path."""
    return {row["source"] for row in tx.rows("sources_at", path=path)}


def gone_generations(tx: Transaction, source: str, most: int) -> list[Generation]:
    """The newest of those that were retired with something read of them."""
    return [_generation(row) for row in tx.rows("gone_generations", source=source, most=most)]


def generations_of_others(tx: Transaction, sources: Collection[str]) -> list[Generation]:
    """Those of all sources but some."""
    return [_generation(row) for row in tx.rows("generations_of_others", sources=list(sources))]


def _generation(row: Row) -> Generation:
    values = {k: row[k] for k in Generation.__struct_fields__ if k != "identity"}
    return Generation(identity=_identity(row), **values)


def _identity(row: Row) -> Identity:
    return Identity(**{k: row[k] for k in Identity.__struct_fields__})


def insert_generation(tx: Transaction, generation: Generation, now: Micros) -> None:
    values = msgspec.structs.asdict(generation) | msgspec.structs.asdict(generation.identity)
    tx.run("insert_generation", created_at=now, **{k: v for k, v in values.items() if k not in ("identity", "state")})


def note_generation(tx: Transaction, generation: Generation) -> None:
    """Remembers where the generation lies now and how large it was."""
    names = ("generation", "path", "encoding", "inode", "size_seen", "unchanged_since")
    tx.run("note_generation", **{name: getattr(generation, name) for name in names})


def adopt_generation(tx: Transaction, generation: Generation) -> None:
    """Makes the generation one of another source, at another place, and follows it on if it was retired."""
    note_generation(tx, generation)
    tx.run("adopt_generation", generation=generation.generation, source=generation.source)


def copies(tx: Transaction, source: str) -> dict[str, str]:
    """The compressed files of a source that wait, and the logs that they may be copies of."""
    return {row["path"]: row["original"] for row in tx.rows("copies_of_source", source=source)}


def note_copies(tx: Transaction, source: str, found: Mapping[str, str], now: Micros) -> None:
    """Keeps which files wait now, as `copies` gives them back."""
    tx.run("forget_copies", source=source, paths=sorted(found))
    for path, original in sorted(found.items()):
        tx.run("keep_copy", source=source, path=path, original=original, now=now)


def plan_ranges(
    tx: Transaction, generation: str, expected: int, cuts: Sequence[int], identity: Identity, now: Micros
) -> bool:
    """Plans [expected, cuts[0]), [cuts[0], cuts[1]) … unless somebody else planned meanwhile."""
    moved = tx.rows("advance_generation", generation=generation, expected=expected, **msgspec.structs.asdict(identity))
    if not moved:
        return False
    starts = [expected, *cuts[:-1]]
    tx.many(
        "insert_block",
        [
            {"generation": generation, "start": start, "stop": stop, "planned_at": now}
            for start, stop in zip(starts, cuts, strict=True)
        ],
    )
    return True


def stretch_block(tx: Transaction, generation: str, start: int, identity: Identity, expected: int, now: Micros) -> bool:
    """Plans a compressed block anew after its file has grown; not while somebody alive reads it."""
    values = {"generation": generation, "expected": expected}
    stop, live = identity.planned_to, live_owners(tx, now)
    if not tx.rows("stretch_block", **values, start=start, stop=stop, planned_at=now, live=live):
        return False
    if not tx.rows("advance_generation", **values, **msgspec.structs.asdict(identity)):
        raise StoreConflict("the plan of a compressed file and its last block differ")
    return True


def open_blocks(tx: Transaction, generation: str) -> list[Row]:
    return tx.rows("open_blocks", generation=generation)


def open_at(tx: Transaction, source: str) -> dict[str, int]:
    """Where the first open block of each generation of a source begins."""
    return {row["generation"]: int(row["start"]) for row in tx.rows("first_open_blocks", source=source)}


def lose_before(
    tx: Transaction, generation: str, before: int, reason: str, live: Sequence[str], now: Micros
) -> list[tuple[int, int]]:
    """Open ranges before an offset are lost, and returned. What somebody alive is reading may still be won."""
    lost = []
    for row in tx.rows("open_blocks_before", generation=generation, before=before, live=list(live), now=now):
        start, stop, end = int(row["start"]), int(row["stop"]), min(int(row["stop"]), before)
        tx.run("lose_block", generation=generation, start=start, stop=end, reason=reason, now=now)
        if end < stop:
            rest = {"generation": generation, "start": end, "stop": stop, "planned_at": row["planned_at"]}
            tx.many("insert_block", [rest])
        lost.append((start, end))
    return lost


def lose(tx: Transaction, generation: str, reason: str, now: Micros) -> list[Row]:
    """All open ranges of a generation are lost, and returned; it is followed on."""
    return tx.rows("lose_blocks", generation=generation, reason=reason, now=now)


def retire(tx: Transaction, generation: str, reason: str, now: Micros) -> list[Row]:
    """Ends a generation; its open ranges are lost, and returned."""
    lost = lose(tx, generation, reason, now)
    tx.run("retire_generation", generation=generation)
    return lost


class Claimed(msgspec.Struct, frozen=True):
    """A block to work on, and how to know its bytes."""

    block: Block
    identity: Identity


class Claim(msgspec.Struct, frozen=True):
    """Who takes work, for which sweep, who else is alive, and until when nobody else takes it."""

    owner: str
    sweep: str
    live: list[str]
    now: Micros
    until: Micros = NEVER

    def values(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self) | _lease(self.now)


def _lease(now: Micros) -> dict[str, Micros]:
    return {"horizon": now + 4 * LEASE, "never": NEVER}


def claim_blocks(tx: Transaction, claim: Claim, planned_by: Micros, most: int, *, again: bool = True) -> list[Claimed]:
    """Takes planned blocks that nobody alive works on and that this sweep has not given up, oldest plan first.

    Without `again` none of those that could not be read lately.
    """
    taken = tx.rows("claim_blocks", planned_by=planned_by, most=most, again=int(again), **claim.values())
    if not taken:
        return []
    mine = {(row["generation"], row["start"]) for row in taken}
    return [
        Claimed(
            Block(**{k: row[k] for k in Block.__struct_fields__}),
            _identity(row),
        )
        for row in tx.rows("claimed_blocks", owner=claim.owner)
        if (row["generation"], row["start"]) in mine
    ]


def take_block(tx: Transaction, claim: Claim, block: Block, from_owner: str) -> bool:
    """Takes a block from the one who claimed it for whoever reads it; False when somebody else is at it."""
    values = {"generation": block.generation, "start": block.start, "from_owner": from_owner}
    return tx.run("take_block", **values, **claim.values()) > 0


def in_work(tx: Transaction, live: Sequence[str], now: Micros) -> tuple[int, int]:
    """Blocks and pending samples that some of these owners hold."""
    arguments = {"live": list(live), "now": now}
    return int(tx.value("count_blocks_in_work", **arguments)), int(tx.value("count_samples_in_work", **arguments))


def tried_again(tx: Transaction, live: Sequence[str], now: Micros) -> int:
    """Blocks in work that could not be read before."""
    return int(tx.value("count_blocks_tried_again", live=list(live), now=now))


def release_block(tx: Transaction, block: Block, claim: Claim, reason: str) -> None:
    """Gives a block back, which that sweep does not try again, and no other one before what is planned meanwhile."""
    tx.run("release_block", **_given_back(block, claim), reason=reason)


def release_changed_block(tx: Transaction, block: Block, claim: Claim, reason: str) -> None:
    """Gives a block back for the planner to find its file; if it could not, the same as for any other one."""
    tx.run("release_changed_block", **_given_back(block, claim), reason=reason)


def _given_back(block: Block, claim: Claim) -> dict[str, Any]:
    name = {"generation": block.generation, "start": block.start}
    return name | {"owner": claim.owner, "sweep": claim.sweep, "behind": claim.now + BEHIND}


def planned_until(tx: Transaction, now: Micros) -> Micros:
    """By when all blocks that are open now were planned, also those of a clock that has been set back since."""
    return max(now, int(tx.value("latest_plan") or 0))


def count_open_blocks(tx: Transaction, sweep: str, planned_by: Micros) -> int:
    """Blocks that a sweep still has to wait for."""
    return int(tx.value("count_open_blocks", planned_by=planned_by, sweep=sweep))


def claim_samples(
    tx: Transaction,
    claim: Claim,
    most: int,
    *,
    ingested_by: Micros = NEVER,
    planned_by: Micros = NEVER,
    newest_first: bool = False,
) -> list[Sample]:
    """Takes pending samples that nobody alive works on and that this sweep has not tried yet.

    `planned_by`: those of blocks that were planned by then.
    """
    query = "claim_newest_samples" if newest_first else "claim_oldest_samples"
    taken = tx.rows(query, most=most, ingested_by=ingested_by, planned_by=planned_by, **claim.values())
    samples: list[Any] = [
        Sample(request=_decode_request(row["payload"]), pi1=row["pi1"], plan=row["plan"], sha256=row["sha256"])
        for row in taken
    ]
    return sorted(samples, key=lambda sample: sample.request.request_id)


def keep_blocks(tx: Transaction, owner: str, blocks: Sequence[Block], until: Micros) -> None:
    """Says that these are still being read."""
    for block in sorted(blocks, key=lambda block: (block.generation, block.start)):
        tx.run("keep_block", owner=owner, generation=block.generation, start=block.start, until=until)


def keep_samples(tx: Transaction, owner: str, names: Sequence[str], until: Micros) -> None:
    """Says that these are still being judged."""
    for start in range(0, len(names), _NAMES):
        tx.run("keep_samples", owner=owner, ids=list(names[start : start + _NAMES]), until=until)


def count_free_samples(
    tx: Transaction,
    sweep: str,
    live: Sequence[str],
    now: Micros,
    most: int,
    *,
    ingested_by: Micros = NEVER,
    planned_by: Micros = NEVER,
) -> int:
    """Pending samples that nobody alive works on and that this sweep has not tried; `most` of them are counted."""
    values = {"sweep": sweep, "live": list(live), "now": now, "most": most}
    bounds = {"ingested_by": ingested_by, "planned_by": planned_by}
    return int(tx.value("count_free_samples", **values, **bounds, **_lease(now)))
