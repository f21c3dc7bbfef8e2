"""Which requests are judged: a keyed hash of the request id against the probability of the plan row in force."""

import bisect
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat

import xxhash

from tidegauge import domain
from tidegauge.domain import Clock, Micros
from tidegauge.errors import ConfigError, UsageError
from tidegauge.storage import sampling as rows
from tidegauge.storage.sampling import BEGINNING, Plan
from tidegauge.storage.store import Store, Transaction

KEY_VARIABLE = "TIDEGAUGE_SAMPLING_KEY"

_SPAN = 2**64


class Sampler:
    """Decides by plan rows and key; the same request is chosen in every replay and on every worker.

    `plans` are all rows. Of the rows that match a request's intent and deployment, the one with the latest
    `valid_from` at or before its event time is in force.
    """

    def __init__(self, plans: Sequence[Plan], key: bytes) -> None:
        self.newest_plan = max(plan.plan for plan in plans)
        self._plans = plans
        self._seed = int.from_bytes(hashlib.blake2b(b"sampling", key=key, digest_size=8).digest(), "big")
        self._limit = threshold(max(plan.rate for plan in plans))
        self._scopes: dict[tuple[str, str], tuple[list[Micros], list[Plan]]] = {}

    def candidates(self, request_ids: Iterable[str]) -> list[tuple[int, int]]:
        """Position and hash of the requests that some plan row might choose."""
        hashes: Iterable[int] = map(xxhash.xxh3_64_intdigest, map(str.encode, request_ids), repeat(self._seed))
        limit = self._limit
        return [(place, value) for place, value in enumerate(hashes) if value < limit]

    def scope(self, intent: str, deployment: str) -> tuple[list[Micros], list[Plan]]:
        """The rows that may hold for a key, and the times from which they do."""
        found = self._scopes.get((intent, deployment))
        if found is None:
            plans = rows.scope(self._plans, intent, deployment)
            found = self._scopes[intent, deployment] = ([p.valid_from for p in plans], plans)
        return found

    def plan(self, intent: str, deployment: str, time: Micros) -> Plan:
        """The row in force for an event."""
        times, plans = self.scope(intent, deployment)
        return plans[bisect.bisect_right(times, time) - 1]


def threshold(rate: float) -> int:
    """Hashes below it are chosen."""
    return round(rate * _SPAN)


def fingerprint(key: bytes) -> str:
    """Tells keys apart without telling them."""
    return hashlib.blake2b(b"fingerprint", key=key, digest_size=8).hexdigest()


def keep_key(tx: Transaction, key: bytes) -> None:
    """Puts a key into a store that has none."""
    rows.keep_key(tx, key, fingerprint(_shortened(key)))


def prepare(store: Store, clock: Clock, rate: float, given: str | None, warn: Callable[[str], None]) -> bytes:
    """The sampling key of the store; at the first run makes it, and plan row 1 with it.

    `given` is the operator's key. Raises ConfigError when it is not the one that the store was begun with.
    """
    with store.write() as tx:
        if not rows.plans(tx):
            rows.lock(tx, shared=False)  # of two first runs one makes the key, the other one finds it
        kept = rows.key(tx)
        if kept is None:
            kept = given.encode() if given else secrets.token_bytes(32)
            rows.keep_key(tx, None if given else kept, fingerprint(_shortened(kept)))
        key = _shortened(given.encode() if given else kept)
        plans = rows.plans(tx)
        if not plans:
            rows.add_plan(tx, BEGINNING, rate, "", "", fingerprint(key), "first run", clock.now())
            return key
    if plans[0].key_fingerprint != fingerprint(key):
        raise ConfigError(
            f"{KEY_VARIABLE}: not the key that this store was begun with; set the old key or use a new store"
        )
    if differs := other_rate(plans, rate):
        warn(differs)
    return key


def other_rate(plans: Sequence[Plan], rate: float) -> str:
    """Says where a configured rate is not the one that a store samples at."""
    standing = next((p for p in reversed(plans) if not p.intent and not p.deployment), None)
    if standing is None or standing.rate == rate:
        return ""
    return (
        f"sampling.rate is {rate:g} but the store samples at {standing.rate:g} since plan {standing.plan}; "
        f"to change it: tidegauge sampling set {rate:g}"
    )


def key_in_force(store: Store, environment: Mapping[str, str]) -> bytes:
    """The key for a worker: the operator's from its environment, else the store's own.

    Raises ConfigError when it is not the one that the store was begun with.
    """
    with store.read() as tx:
        plans = rows.plans(tx)
        kept = rows.key(tx)  # after the plans: where there is one, its key is there as well
    given = environment.get(KEY_VARIABLE)
    key = _shortened(given.encode() if given else kept or b"")
    if plans and plans[0].key_fingerprint != fingerprint(key):
        raise ConfigError(f"{KEY_VARIABLE}: not the key that this store was begun with; set it where workers run, too")
    return key


def _shortened(key: bytes) -> bytes:
    return key if len(key) <= 64 else hashlib.blake2b(key).digest()


def set_rate(
    store: Store, clock: Clock, rate: float, valid_from: Micros | None, intent: str, deployment: str, reason: str
) -> Plan:
    """Adds a plan row; from `valid_from`, by default the earliest allowed time. Raises UsageError."""
    return _add(store, clock, [(intent, deployment, rate)], valid_from, reason)[0]


def set_rates(
    store: Store, clock: Clock, rates: Mapping[str, float], valid_from: Micros | None, reason: str
) -> list[Plan]:
    """`set_rate` of several intents at once: all rows from the same time on, or none. Raises UsageError."""
    return _add(store, clock, [(intent, "", rate) for intent, rate in sorted(rates.items())], valid_from, reason)


def _add(
    store: Store, clock: Clock, wanted: Sequence[tuple[str, str, float]], valid_from: Micros | None, reason: str
) -> list[Plan]:
    """Rows of intent, deployment and rate."""
    for _, _, rate in wanted:
        if not 0 <= rate <= 1:
            raise UsageError(f"sampling rate {rate:g}: must be between 0 and 1")
    with store.write() as tx:
        rows.lock(tx, shared=False)
        plans = rows.plans(tx)
        if not plans:
            raise UsageError("the store has no sampling plan yet: `tidegauge run` writes the first one")
        earliest = rows.earliest(tx, clock.now())
        start = earliest if valid_from is None else valid_from
        if start < earliest:
            raise UsageError(
                f"--from {domain.iso(start)}: must be at or after {domain.iso(earliest)}, ten minutes after the "
                "newest event"
            )
        fingerprint_, now = plans[0].key_fingerprint, clock.now()
        return [
            rows.add_plan(tx, start, rate, intent, deployment, fingerprint_, reason, now)
            for intent, deployment, rate in wanted
        ]
