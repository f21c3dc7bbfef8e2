"""The interlock: a judge that has changed is not believed until people trust it again.

While it is on, its new items get f = theta0 and the review probability of everybody (pi = r), no step of the cascade
stops early, and nothing is concluded from what it says alone. Rollbacks rest on people's labels and go on.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any, Literal, NamedTuple

from tidegauge.domain import DAY, TEST_BLOCK, UNSCORED_BIN, Micros, Value, iso, test_block
from tidegauge.errors import UsageError
from tidegauge.service import gold, gold_runs, tickets
from tidegauge.slo.drift import Interval, rise_evidence, share_interval
from tidegauge.slo.rates import wilson_lower
from tidegauge.storage import judging
from tidegauge.storage.store import Row, Transaction

Kind = Literal["gold", "identity", "unscored", "coverage"]

ALPHA = 0.001
"""Chance that a judge that never changes is ever accused by its gold answers, sensitivity and specificity together."""

REFERENCE = 50
"""Answers that tell under which names an endpoint answers, and as many that tell whether it still does."""

UNSCORED = 0.2
COVERAGE = 0.8
_FEWEST = 50
_RECENT = 4  # blocks: a day
_LATELY = 28  # blocks: a week
_PASSING = ("unscored", "coverage")
_TICKET = "judge_interlock"


class Trip(Value, frozen=True, kw_only=True):
    evaluator: str
    evaluator_hash: str
    kind: Kind
    evidence: dict[str, Any]


class GoldAnswers(NamedTuple):
    """Errors on gold cases in the order in which they were drawn, 1 where the judge was wrong."""

    missed: list[int]
    """On hallucinated ones."""
    accused: list[int]
    """On faithful ones."""
    silent: int

    @property
    def sensitivity(self) -> Interval:
        return _right(self.missed)

    @property
    def specificity(self) -> Interval:
        return _right(self.accused)


def distrusted(tx: Transaction) -> dict[str, Row]:
    """Open interlocks by evaluator hash."""
    return {row["evaluator_hash"]: row for row in tx.rows("open_interlocks")}


def has_changed(tx: Transaction, now: Micros) -> bool:
    """Whether `watch` would do anything. It looks at all gold answers: nobody should wait for that with a lock."""
    known = distrusted(tx)
    found = _found(tx)
    return bool(found.keys() - known.keys()) or any(_has_passed(row, found, now) for row in known.values())


def watch(tx: Transaction, owner_of: Callable[[str], str], now: Micros) -> list[Trip]:
    """Trips the interlock of every judge that has changed, and releases what has passed; what was tripped.

    `owner_of` gives who owns a judge, by its name.
    """
    known = distrusted(tx)
    found = _found(tx)
    tripped = []
    for name, trip in sorted(found.items()):
        if name in known:
            continue
        evidence = json.dumps(trip.evidence, sort_keys=True)
        tx.run(
            "trip_interlock",
            evaluator_hash=name,
            tripped_at=now,
            evaluator=trip.evaluator,
            kind=trip.kind,
            evidence=evidence,
        )
        tickets.open_ticket(
            tx,
            kind=_TICKET,
            subject=_subject(trip.evaluator, name),
            owner=owner_of(trip.evaluator),
            evidence={"kind": trip.kind, **trip.evidence},
            now=now,
        )
        tripped.append(trip)
    for row in known.values():
        if _has_passed(row, found, now):
            _release(tx, row, "tidegauge", "it has passed", now)
    return tripped


def _found(tx: Transaction) -> dict[str, Trip]:
    """Why judges are not to be believed, by their hash."""
    return {trip.evaluator_hash: trip for trip in reversed(_passing(tx) + _gold(tx) + _identity(tx))}


def _has_passed(row: Row, found: Mapping[str, Trip], now: Micros) -> bool:
    """Whether an interlock that ends by itself does."""
    return bool(row["kind"] in _PASSING and row["evaluator_hash"] not in found and now - row["tripped_at"] >= DAY)


def trust(tx: Transaction, evaluator: str, who: str, why: str, now: Micros) -> int:
    """People believe a judge again; the number of interlocks released. Its gold answers begin anew.

    Raises UsageError where none is on.
    """
    rows = [row for row in distrusted(tx).values() if row["evaluator"] == evaluator]
    if not rows:
        raise UsageError(f"judge trust: no interlock is on for {evaluator!r}; see tidegauge judge health")
    for row in rows:
        _release(tx, row, who, why, now)
    known = sorted(case.id for case in gold.cases(tx) if case.hallucinated is not None)
    if known:
        gold_runs.begin_stream(tx, known, now)
    return len(rows)


def answers(tx: Transaction) -> dict[tuple[str, str], GoldAnswers]:
    """Of the present stream, by evaluator and its hash."""
    stream = tx.first("newest_gold_stream")
    found: dict[tuple[str, str], GoldAnswers] = {}
    for row in tx.rows("gold_answers", stream=stream["stream"]) if stream else ():
        key = (row["evaluator"], row["evaluator_hash"])
        so_far = found.setdefault(key, GoldAnswers([], [], 0))
        if row["said"] is None:
            found[key] = so_far._replace(silent=so_far.silent + 1)
        else:
            (so_far.missed if row["truth"] else so_far.accused).append(int(row["said"] != row["truth"]))
    return found


def versions(tx: Transaction) -> dict[str, str]:
    """Evaluators by their hash, as people know them: the name and the version."""
    return {row["content_hash"]: f"{row['name']} {row['version']}" for row in tx.rows("evaluator_versions")}


def health_rows(tx: Transaction) -> list[dict[str, Any]]:
    """As `tidegauge judge health --json` prints them: a row per evaluator that was asked, or answered gold cases.

    One that never answered has no hash. `failing`: since when it does not answer, and why.
    """
    on, gold_answers = distrusted(tx), answers(tx)
    seen = (*tx.rows("judge_identities"), *on.values())
    names = {(row["evaluator"], row["evaluator_hash"]) for row in seen} | gold_answers.keys()
    identities, failing = _identities(tx), judging.failing(tx)
    names |= {(judge, "") for judge in failing.keys() - {evaluator for evaluator, _ in names}}
    rows = []
    for evaluator, name in sorted(names):
        said = gold_answers.get((evaluator, name), GoldAnswers([], [], 0))
        lock = on.get(name)
        rows.append(
            {
                "evaluator": evaluator,
                "hash": name,
                "state": "interlocked" if lock else "trusted",
                "since": iso(lock["tripped_at"]) if lock else None,
                "why": {"kind": lock["kind"], **json.loads(lock["evidence"])} if lock else None,
                "gold": {"hallucinated": len(said.missed), "faithful": len(said.accused), "silent": said.silent},
                "sensitivity": said.sensitivity._asdict(),
                "specificity": said.specificity._asdict(),
                "failing": failing.get(evaluator),
                "answers_as": sorted(_recent(identities.get(name, []))),
            }
        )
    return rows


def _gold(tx: Transaction) -> list[Trip]:
    trips = []
    for (evaluator, name), said in answers(tx).items():
        for measure, errors in (("sensitivity", said.missed), ("specificity", said.accused)):
            series = rise_evidence(errors)
            if len(series) and series[-1] >= log(2 / ALPHA):
                evidence = {
                    "measure": measure,
                    "log_e": float(series[-1]),
                    "answers": len(errors),
                    "lately": _right(errors[-REFERENCE:]).est,
                    "before": _right(errors[:-REFERENCE]).est,
                }
                trips.append(Trip(evaluator=evaluator, evaluator_hash=name, kind="gold", evidence=evidence))
    return trips


def _identity(tx: Transaction) -> list[Trip]:
    """Judges most of whose last answers came under names that their first answers did not have."""
    trips = []
    for name, rows in _identities(tx).items():
        first, last = _recent(rows[::-1]), _recent(rows)
        if first.total() < REFERENCE or last.total() < REFERENCE:
            continue
        new = sum(count for identity, count in last.items() if identity not in first)
        if new > last.total() / 2:
            evidence = {"first": sorted(first), "now": sorted(last), "share": new / last.total()}
            trips.append(Trip(evaluator=rows[0]["evaluator"], evaluator_hash=name, kind="identity", evidence=evidence))
    return trips


def _identities(tx: Transaction) -> dict[str, list[Row]]:
    """By evaluator hash, oldest first, since people last trusted it."""
    released = {row["evaluator_hash"]: row["released_at"] for row in tx.rows("last_releases")}
    found: dict[str, list[Row]] = {}
    for row in tx.rows("judge_identities"):
        since = released.get(row["evaluator_hash"])
        if since is None or row["block"] > test_block(since):
            found.setdefault(row["evaluator_hash"], []).append(row)
    return found


def _recent(rows: Sequence[Row]) -> Counter[str]:
    """Names of the last answers, in whole blocks, at least REFERENCE of them where there are so many."""
    counted: Counter[str] = Counter()
    block = None
    for row in reversed(rows):
        if row["block"] != block and counted.total() >= REFERENCE:
            break
        block = row["block"]
        counted[row["identity"]] += row["answers"]
    return counted


def _passing(tx: Transaction) -> list[Trip]:
    """What ends by itself: a judge whose answers cannot be used, or samples that no judge comes to."""
    newest = tx.value("newest_traffic")
    identities = tx.rows("judge_identities")
    asked = {row["evaluator_hash"]: row["evaluator"] for row in identities}
    if newest is None or not asked:
        return []
    newest_block = newest // TEST_BLOCK
    trips = []
    for row in tx.rows("recent_scores", first=newest_block - _RECENT + 1, unscored=UNSCORED_BIN):
        name, items, unscored = row["evaluator_hash"], int(row["items"]), int(row["unscored"])
        if name in asked and items >= _FEWEST and wilson_lower(unscored / items, items) > UNSCORED:
            evidence = {"items": items, "unscored": unscored}
            trips.append(Trip(evaluator=asked[name], evaluator_hash=name, kind="unscored", evidence=evidence))
    last = newest_block - _RECENT  # a day of grace for what is in work
    cells = tx.first("settled_samples", first=last - _RECENT + 1, last=last) or {}
    sampled, final = int(cells.get("sampled") or 0), int(cells.get("final") or 0)
    if sampled >= _FEWEST and final < COVERAGE * sampled:
        evidence = {"sampled": sampled, "final": final}
        trips += [
            Trip(evaluator=asked[name], evaluator_hash=name, kind="coverage", evidence=evidence)
            for name in _in_use(identities)
        ]
    return trips


def _in_use(identities: Sequence[Row]) -> list[str]:
    """Hashes of judges: of each the version that answered last, where that was not long before the last of all."""
    last = {row["evaluator_hash"]: row for row in identities}  # the blocks of a hash are in order
    newest: dict[str, int] = {}
    for row in last.values():
        newest[row["evaluator"]] = max(row["block"], newest.get(row["evaluator"], row["block"]))
    since = max(newest.values()) - _LATELY
    return [name for name, row in last.items() if row["block"] == newest[row["evaluator"]] > since]


def _release(tx: Transaction, row: Row, who: str, why: str, now: Micros) -> None:
    tx.run("release_interlock", evaluator_hash=row["evaluator_hash"], now=now, who=who, why=why)
    tickets.close_ticket(tx, tickets.ticket_id(_TICKET, _subject(row["evaluator"], row["evaluator_hash"])), now)


def _subject(evaluator: str, evaluator_hash: str) -> dict[str, str]:
    return {"evaluator": evaluator, "hash": evaluator_hash}


def _right(errors: Sequence[int]) -> Interval:
    return share_interval(len(errors) - sum(errors), len(errors))
