"""Gold cases on their way through the judges: drawn at a configured rate, unmarked to whoever is asked.

A drawn case travels with the samples of its tick under a request id that no log can hold, and comes out as answers in a
table of its own: outside samples, rollups, status, sums and budgets of labels.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from tidegauge.domain import DAY, Micros, Request, Verdict, short_hash, test_block
from tidegauge.service import gold
from tidegauge.storage.judging import CACHE
from tidegauge.storage.store import Row, Transaction, storable

MARK = "\0gold:"
"""Of the request ids of drawn cases. A log's ids have no NUL."""

_LONGEST_WAIT = DAY // 4
"""Of a pause in the job, no more than this is made up for, or what one case takes."""

_GROWTH = 2.0
"""A new stream begins when there are so many times the cases of the last one."""


def draw(tx: Transaction, per_day: float, now: Micros) -> list[Request]:
    """The cases that are due, as requests; two workers never draw the same one.

    Positive and negative cases take turns, each drawn with replacement from those known when the stream began, so that
    a judge that stays the same answers them with the same chance of being right.
    """
    if not per_day:
        return []
    stream = tx.first("newest_gold_stream")
    last = tx.first("newest_gold_runs", stream=stream["stream"]) if stream else None
    apart = max(1, int(DAY / per_day))
    longest = max(_LONGEST_WAIT, apart)
    asked_at = last["asked_at"] if last and last["asked_at"] is not None else now - longest
    due = min(now - asked_at, longest) // apart
    if due < 1:
        return []
    truths = {case.id: case.hallucinated for case in gold.cases(tx) if case.hallucinated is not None}
    if not truths:
        return []
    if stream is None or len(truths) >= _GROWTH * len(json.loads(stream["cases"])):
        stream = begin_stream(tx, sorted(truths), now)
        last = None
    first = int(last["ordinal"]) + 1 if last and last["ordinal"] is not None else 0
    usable = [name for name in json.loads(stream["cases"]) if name in truths]
    pools = [pool for value in (True, False) if (pool := [name for name in usable if truths[name] is value])]
    drawn: dict[str, str] = {}
    for ordinal in range(first, first + due) if pools else ():
        name = _choice(pools[ordinal % len(pools)], f"{stream['stream']}:{ordinal}")
        run = short_hash("gold", str(stream["stream"]), str(ordinal))
        row = {"run": run, "stream": stream["stream"], "ordinal": ordinal, "gold": name, "truth": int(truths[name])}
        if tx.rows("insert_gold_run", asked_at=now, **row):
            drawn[run] = name
    payloads = {r["gold"]: r["payload"] for r in tx.rows_in("gold_payloads", "ids", sorted(set(drawn.values())))}
    decode = msgspec.json.Decoder(Request).decode
    return [
        msgspec.structs.replace(decode(bytes(payloads[name])), request_id=MARK + run) for run, name in drawn.items()
    ]


def begin_stream(tx: Transaction, cases: Sequence[str], now: Micros) -> Row:
    """From now on these cases are drawn, and what was answered before counts no more."""
    newest = tx.first("newest_gold_stream")
    row = {"stream": newest["stream"] + 1 if newest else 1, "began_at": now, "cases": json.dumps(list(cases))}
    tx.run("insert_gold_stream", **row)
    return row


def split(verdicts: Iterable[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
    """(those of samples, those of gold cases)."""
    samples: list[Verdict] = []
    drawn: list[Verdict] = []
    for verdict in verdicts:
        (drawn if verdict.request_id.startswith(MARK) else samples).append(verdict)
    return samples, drawn


def keep_answers(tx: Transaction, drawn: Iterable[Verdict], now: Micros) -> None:
    """What each evaluator said of the drawn cases."""
    tx.many(
        "insert_gold_answer",
        [
            {
                "run": verdict.request_id.removeprefix(MARK),
                "evaluator": score.evaluator,
                "evaluator_hash": score.content_hash,
                "said": None if score.label is None else int(score.label == "hallucinated"),
                "answered_at": now,
            }
            for verdict in drawn
            for score in verdict.scores
        ],
    )


def keep_identities(tx: Transaction, verdicts: Iterable[Verdict], now: Micros) -> None:
    """Counts under which names the asked endpoints answered."""
    counts = Counter(
        (score.content_hash, storable(score.answered_by), score.evaluator)
        for verdict in verdicts
        for score in verdict.scores
        if score.asks and score.answered_by not in ("", CACHE)
    )
    tx.many(
        "add_judge_identity",
        [
            {
                "evaluator_hash": evaluator_hash,
                "block": test_block(now),
                "identity": identity,
                "evaluator": evaluator,
                "answers": answers,
            }
            for (evaluator_hash, identity, evaluator), answers in sorted(counts.items())
        ],
    )


def _choice(pool: Sequence[str], place: str) -> str:
    number = int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest(), "big")
    return pool[number % len(pool)]
