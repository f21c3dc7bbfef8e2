"""Samples that no answer comes back for, while their judge answers others: they must not hold a block up for ever.

A judge that is down keeps everybody waiting, and nobody is given up for it. So a failure counts only where the judge,
since the one before, answered others, and clearly more often than samples wait for it; and not before some time.
Where several judges fail on one sample, they are counted one after the other: each of them may be down.
"""

from collections.abc import Sequence

import msgspec

from tidegauge.domain import MINUTE, EvaluationState, Micros, Verdict
from tidegauge.storage.judging import UNANSWERED
from tidegauge.storage.store import Row, Transaction

JUDGE_FAILED = "judge_failed"
"""Why a sample is unscored that its judge could never be asked about."""

MOST = 8
"""Failures that count, after which a sample is given up."""

APART: Micros = 10 * MINUTE
"""Between two that count: a stream asks again every few seconds."""

HEALTHY = 4
"""Answers that a judge must have given for each sample that waits for it."""

_THEN = "\n"
"""Between the judges that failed on a sample, in the order in which they were counted."""


def give_up(tx: Transaction, found: Sequence[Verdict], now: Micros) -> list[Verdict]:
    """Counts the failures of pending verdicts; those of a sample that failed too often come back as unscored."""
    failed: dict[str, list[str]] = {}
    for verdict in sorted(found, key=lambda v: (v.request_id, v.indicator)):
        if verdict.state is EvaluationState.PENDING:
            failed.setdefault(verdict.request_id, []).append(verdict.decisive.evaluator)
    if not failed:
        return list(found)
    if tx.dialect == "postgresql":  # all that this transaction will write, in the order in which others do
        tx.rows_in("lock_samples", "ids", sorted({verdict.request_id for verdict in found}))
    rows = tx.rows_in("failures_of_samples", "ids", sorted(failed))
    judges = _Judges(tx, {name for names in failed.values() for name in names}, {row["failing"] for row in rows})
    counted = {old["request_id"]: judges.count(old, failed[old["request_id"]], now) for old in rows}
    tx.many("note_failure", [row for old in rows if (row := counted[old["request_id"]]) is not old])
    over = {name: _over(row) for name, row in counted.items()}
    return [_unscored(v) if v.decisive.evaluator in over.get(v.request_id, ()) else v for v in found]


def _over(row: Row) -> list[str]:
    """The judges that failed too often on a sample: all that were counted, and the last one once it has."""
    names: list[str] = row["failing"].split(_THEN)
    return names if row["failures"] >= MOST else names[:-1]


class _Judges:
    """How the judges do that could not be asked this time."""

    def __init__(self, tx: Transaction, names: set[str], places: set[str]) -> None:
        """`places` is what is kept of the samples: whom each of them waits for."""
        self._tx = tx
        self._answers = {r["evaluator"]: r["answers"] for r in tx.rows("answers_of_judges", judges=sorted(names))}
        self._places = places
        self._waiting: dict[str, int] = {}

    def count(self, old: Row, names: Sequence[str], now: Micros) -> Row:
        """What is to be kept of a sample that these failed on: the old row where this says nothing of the sample."""
        over = _over(old)
        left = [name for name in names if name not in over]
        counting = old["failing"].split(_THEN)[-1]
        if not left:
            return old
        judge = counting if counting in left else left[0]
        answers = self._answers.get(judge, 0)
        failures = 1
        if judge == counting:
            between = answers - old["answers_then"]
            if now - old["failed_at"] < APART or not between or between < HEALTHY * self._waiting_for(judge):
                return old
            failures = old["failures"] + 1
        failing = _THEN.join(dict.fromkeys((*over, judge)))
        kept = {"failing": failing, "failures": failures, "failed_at": now, "answers_then": answers}
        return {"request_id": old["request_id"], **kept}

    def _waiting_for(self, judge: str) -> int:
        if judge not in self._waiting:
            most = self._answers[judge] // HEALTHY + 1  # more of them would say the same
            failing = sorted({judge, *(place for place in self._places if place.split(_THEN)[-1] == judge)})
            self._waiting[judge] = int(self._tx.value("samples_that_fail", failing=failing, most=most))
        return self._waiting[judge]


def _unscored(verdict: Verdict) -> Verdict:
    if verdict.state is not EvaluationState.PENDING:
        return verdict
    reason = f"{JUDGE_FAILED}: {verdict.decisive.reason.removeprefix(UNANSWERED)}"
    scores = list(verdict.scores)
    scores[verdict.decided_by] = msgspec.structs.replace(verdict.decisive, reason=reason)
    return msgspec.structs.replace(
        verdict, state=EvaluationState.UNSCORED, scores=tuple(scores), reason=reason, why=JUDGE_FAILED
    )
