"""Verdicts: the first one of a sample stands."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from tidegauge.domain import HALLUCINATION, TESTED_TIERS, EvaluationState, Micros, Score, Usage, Verdict, test_block
from tidegauge.storage.judging import CACHE
from tidegauge.storage.store import Transaction, storable

_encode = msgspec.json.encode


def commit_verdicts(tx: Transaction, verdicts: Sequence[Verdict], now: Micros, again_at: Micros = 0) -> list[str]:
    """Writes the verdicts of samples that are still pending; the ids of those that became final.

    A pending verdict gives its sample back, to be tried again by a later sweep, some time after `again_at`.
    """
    first: dict[str, Verdict] = {}
    further: list[Verdict] = []
    released: set[str] = set()
    if tx.dialect == "postgresql":
        tx.rows_in("lock_samples", "ids", sorted({verdict.request_id for verdict in verdicts}))
    for verdict in sorted(verdicts, key=lambda v: v.request_id):
        if verdict.state is EvaluationState.PENDING:
            if verdict.request_id not in released:
                tx.run("release_samples_of", request_id=verdict.request_id, reason=verdict.reason, now=again_at)
            released.add(verdict.request_id)
        elif verdict.indicator == HALLUCINATION:
            first.setdefault(verdict.request_id, verdict)
        else:
            further.append(verdict)
    won = tx.rows_in("finish_samples", "ids", list(first))
    final = [first[row["request_id"]] for row in won]
    tx.many(
        "explain_sample",
        [
            {"request_id": v.request_id, "state": v.state.value, "reason": storable(v.reason)}
            for v in final
            if v.state is EvaluationState.UNSCORED
        ],
    )
    cells = Counter(
        (row["intent"], row["deployment"], test_block(row["timestamp"]))
        for row in won
        if row["served_by"] in TESTED_TIERS
    )
    tx.many(
        "finish_cell_samples",
        [
            dict(zip(("intent", "deployment", "block"), cell, strict=True)) | {"samples": n}
            for cell, n in sorted(cells.items())
        ],
    )
    won_ids = {verdict.request_id for verdict in final}
    kept = [*final, *(verdict for verdict in further if verdict.request_id in won_ids)]
    tx.bulk("insert_verdict", [row for verdict in kept for row in _rows(verdict, now)])
    return [verdict.request_id for verdict in final]


def add_totals(tx: Transaction, written: Iterable[Verdict]) -> None:
    """Adds verdicts that were written to the running totals: last of all, since all commits meet in these rows."""
    scores: defaultdict[str, Counter[str]] = defaultdict(Counter)
    decisions: Counter[tuple[str, str, int]] = Counter()
    for verdict in written:
        first: dict[str, int] = {}  # an evaluator has one row of a sample
        for place, score in enumerate(verdict.scores):
            if first.setdefault(score.evaluator, place) != place:
                continue
            if place == verdict.decided_by and score.score is not None:
                decisions[score.evaluator, verdict.why, int(verdict.spent)] += 1
            if score.asks:
                scores[score.evaluator].update(_amounts(score))
    tx.many("add_score_total", [{"evaluator": name, **sums} for name, sums in sorted(scores.items())])
    names = ("evaluator", "why", "spent")
    steps = sorted(decisions.items())
    tx.many("add_decision_total", [dict(zip(names, step, strict=True)) | {"samples": n} for step, n in steps])


def _amounts(score: Score) -> dict[str, int]:
    """What a score adds to the totals of its evaluator."""
    usage = score.usage or Usage()
    return {
        "scores": 1,
        "cached": int(score.answered_by == CACHE),
        "unusable": int(score.score is None),
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "costs": int(usage.cost_nano_usd is not None),
        "cost_nano_usd": usage.cost_nano_usd or 0,
        "cost_unknown": int(usage.calls > 0 and usage.cost_nano_usd is None),
    }


def _rows(verdict: Verdict, now: Micros) -> list[dict[str, object]]:
    return [_row(verdict, place, score, now) for place, score in enumerate(verdict.scores)]


def _row(verdict: Verdict, place: int, score: Score, now: Micros) -> dict[str, object]:
    usage = score.usage or Usage()
    return {
        "request_id": verdict.request_id,
        "indicator": verdict.indicator,
        "evaluator": score.evaluator,
        "version": score.version,
        "content_hash": score.content_hash,
        "score": score.score,
        "label": score.label and storable(score.label),
        "confidence": score.confidence,
        "reason": storable(score.reason),
        "asks": int(score.asks),
        "decided": int(place == verdict.decided_by),
        "judged_at": now,
        "spans": storable(_encode(score.spans).decode()),
        "raw": storable(score.raw),
        "answered_by": storable(score.answered_by),
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_nano_usd": usage.cost_nano_usd,
    }
