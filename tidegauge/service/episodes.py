"""Which test an item belongs to: a deployment of an intent, anew after a day without traffic, or after an incident."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tidegauge.domain import DAY, Micros, short_hash, test_block
from tidegauge.service.policy import Policy
from tidegauge.storage import evidence
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.store import Row, Transaction


class Span(NamedTuple):
    """Event times of the first and the last request."""

    first: Micros
    last: Micros

    def meets(self, first: Micros, last: Micros) -> bool:
        return first <= self.last and self.first <= last


def spans(cells: Iterable[Row]) -> list[Span]:
    """Traffic without a gap of 24 hours or more; cells in the order of their blocks."""
    found: list[Span] = []
    for cell in cells:
        if found and cell["first_at"] - found[-1].last < DAY:
            found[-1] = Span(found[-1].first, max(found[-1].last, cell["last_at"]))
        else:
            found.append(Span(cell["first_at"], cell["last_at"]))
    return found


def keys_for(
    tx: Transaction, samples: Sequence[Row], policies: Mapping[str, Policy], now: Micros
) -> dict[str, TestKey]:
    """The test of each sample by request id, made where it is new; locked, its version raised.

    A key's episode is numbered in the order of arrival. Late traffic that closes a gap joins the key it meets; which
    one is chosen depends on times alone, never on a label, so the test stays valid.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in samples:
        groups.setdefault((row["intent"], row["deployment"]), []).append(row)
    assigned: dict[str, str] = {}
    for (intent, deployment), rows in sorted(groups.items()):
        evidence.hold(tx, "episodes", policies[intent].indicator, intent, deployment)
        assigned |= _assign(tx, intent, deployment, rows, policies[intent])
    locked = evidence.raise_keys(tx, set(assigned.values()), now)
    members: dict[str, list[Row]] = {}
    for row in samples:
        if row["request_id"] in assigned:
            members.setdefault(assigned[row["request_id"]], []).append(row)
    tx.many("stretch_key", [_stretched(locked[name], members[name]) for name in sorted(members)])
    return {request_id: locked[name] for request_id, name in assigned.items()}


def _assign(tx: Transaction, intent: str, deployment: str, rows: Sequence[Row], policy: Policy) -> dict[str, str]:
    cells = tx.rows_in("traffic_of_deployments", "deployments", [deployment], intent=intent)
    known = tx.rows_in("keys_of", "deployments", [deployment], intent=intent, indicator=policy.indicator)
    episode = max((row["episode"] for row in known), default=-1)
    found: dict[str, str] = {}
    waiting = {row["request_id"]: row for row in rows}
    for span in spans(cells) or [Span(rows[0]["timestamp"], rows[-1]["timestamp"])]:
        inside = [row for row in waiting.values() if span.first <= row["timestamp"] <= span.last]
        keys = [
            key for key in known if key["objective"] == policy.objective and span.meets(key["first_at"], key["last_at"])
        ]
        homeless = [row for row in inside if not _open_to(keys, row["timestamp"])]
        if homeless:
            episode += 1
            keys = [*keys, _make(tx, homeless, policy, episode)]
        for row in inside:
            found[row["request_id"]] = _nearest(_open_to(keys, row["timestamp"]), row["timestamp"])
            del waiting[row["request_id"]]
    return found


def _open_to(keys: Sequence[Row], time: Micros) -> list[Row]:
    """Keys whose incident was not verified or cancelled before that time: what comes after it is tested anew."""
    return [key for key in keys if key["over_at"] is None or time <= key["over_at"]]


def _nearest(keys: Sequence[Row], time: Micros) -> str:
    """The last key that had begun by then, else the first."""
    begun = [key for key in keys if key["first_at"] <= time]
    return str(max(begun, key=lambda key: int(key["first_at"]))["test_key"] if begun else keys[0]["test_key"])


def _make(tx: Transaction, rows: Sequence[Row], policy: Policy, episode: int) -> Row:
    intent, deployment = rows[0]["intent"], rows[0]["deployment"]
    first = min(row["timestamp"] for row in rows)
    key = {
        "test_key": short_hash(policy.indicator, intent, deployment, str(episode)),
        "indicator": policy.indicator,
        "intent": intent,
        "deployment": deployment,
        "episode": episode,
        "objective": policy.objective,
        "pi_ref": min(row["pi1"] for row in rows),
        "bets": policy.bets,
        "first_block": test_block(first),
        "first_at": first,
        "last_at": max(row["timestamp"] for row in rows),
    }
    tx.run("insert_key", **key)
    return key | {"over_at": None}


def _stretched(key: TestKey, rows: Sequence[Row]) -> Row:
    first, last = min(row["timestamp"] for row in rows), max(row["timestamp"] for row in rows)
    # Before the first decision nothing was read, so an earlier start may still move in.
    start = min(key.first_block, test_block(first)) if key.read_block < 0 else key.first_block
    return {
        "test_key": key.test_key,
        "first_block": start,
        "first_at": min(key.first_at, first),
        "last_at": max(key.last_at, last),
    }
