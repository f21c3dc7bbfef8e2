"""The past again: stored samples scored by another judge or rubric, as shadow verdicts that no test ever sees."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from evaluators.base import AskingEvaluator
from evaluators.gate import asked, judged
from evaluators.quality import auroc
from tidegauge.domain import HALLUCINATION, Clock, EvaluationState, Micros, Request, Verdict
from tidegauge.slo.agreement import Judged, agreement
from tidegauge.storage.store import Row, Store, Transaction, storable

PORTION = 500
SHOWN = 20
SPENT = "spent"

_decode = msgspec.json.Decoder(Request).decode


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Which samples, in event time from `since` up to `until`; an empty intent means all."""

    run: str
    since: Micros
    until: Micros
    intent: str = ""
    limit: int | None = None


def rejudge(store: Store, judge: AskingEvaluator, past: Past, clock: Clock) -> dict[str, int]:
    """Judges what the run has not judged yet; how many are judged, unscored and pending (to be asked again).

    `spent` are those of the pending for which the day's budget did not suffice; nothing is looked at after them.
    """
    counts: Counter[str] = Counter()
    for rows in _portions(store, past):
        verdicts = judged(judge, [_decode(bytes(row["payload"])) for row in rows])
        counts.update(verdict.state if asked(verdict) else EvaluationState.PENDING for verdict in verdicts.values())
        counts[SPENT] += sum(verdict.spent for verdict in verdicts.values())
        with store.write() as tx:
            tx.many("insert_shadow", [_row(past.run, v, clock.now()) for _, v in sorted(verdicts.items()) if asked(v)])
        if counts[SPENT]:
            break
    return {name: counts[name] for name in (*map(str, EvaluationState), SPENT)}


def compare(tx: Transaction, run: str) -> dict[str, Any]:
    """How a run's verdicts agree with those that stand, and both with people where they said something."""
    rows = tx.rows("shadow_comparison", run=run)
    both = [row for row in rows if row["new_label"] and row["old_label"]]
    agreed = agreement([Judged(row["new_label"] == "hallucinated", row["old_label"] == "hallucinated") for row in both])
    labelled = [row for row in rows if row["reviewed"] and row["returned"]]
    apart = sorted(
        (row for row in both if row["new_label"] != row["old_label"]),
        key=lambda row: (-abs(row["new_score"] - row["old_score"]), row["request_id"]),
    )
    return {
        "run": run,
        "compared": len(both),
        "unscored": sum(row["new_label"] is None for row in rows),
        "table": dict(Counter(f"{row['old_label']} -> {row['new_label']}" for row in both)),
        "kappa": {"estimate": agreed.kappa.est, "low": agreed.kappa.lo, "high": agreed.kappa.hi},
        "labelled": len(labelled),
        "auroc": {name: _auroc(labelled, f"{name}_score") for name in ("old", "new")},
        "disagreements": [
            {
                "request_id": row["request_id"],
                "intent": row["intent"],
                "old": {"label": row["old_label"], "score": row["old_score"]},
                "new": {"label": row["new_label"], "score": row["new_score"], "reason": row["reason"]},
            }
            for row in apart[:SHOWN]
        ],
    }


def _auroc(rows: Sequence[Row], name: str) -> float | None:
    scored = [row for row in rows if row["old_score"] is not None and row["new_score"] is not None]
    return auroc([row[name] for row in scored], [bool(row["y"]) for row in scored])


def _portions(store: Store, past: Past) -> Iterator[list[Row]]:
    left, after = past.limit, ""
    while left is None or left > 0:
        with store.read() as tx:
            rows = tx.rows(
                "samples_to_rejudge",
                run=past.run,
                indicator=HALLUCINATION,
                since=past.since,
                until=past.until,
                intent=past.intent,
                after=after,
                most=PORTION if left is None else min(PORTION, left),
            )
        if not rows:
            return
        after = rows[-1]["request_id"]
        left = None if left is None else left - len(rows)
        yield rows


def _row(run: str, verdict: Verdict, now: Micros) -> Row:
    score = verdict.decisive
    return {
        "run": run,
        "request_id": verdict.request_id,
        "indicator": HALLUCINATION,
        "evaluator": score.evaluator,
        "version": score.version,
        "content_hash": score.content_hash,
        "state": verdict.state.value,
        "score": score.score,
        "label": score.label and storable(score.label),
        "confidence": score.confidence,
        "reason": storable(score.reason),
        "judged_at": now,
    }
