"""Samples that no answer comes back for, while their judge answers others: they must not hold a block up for ever.

A judge that is down keeps everybody waiting, and nobody is given up for it. So a failure counts only where the judge,
since the one before, answered others, and clearly more often than samples wait for it; and not before some time.
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


def give_up(tx: Transaction, found: Sequence[Verdict], now: Micros) -> list[Verdict]:
    """Counts the failures of pending verdicts; those of a sample that failed too often come back as unscored."""
    failed: dict[str, str] = {}
    for verdict in sorted(found, key=lambda v: (v.request_id, v.indicator)):
        if verdict.state is EvaluationState.PENDING:
            failed.setdefault(verdict.request_id, verdict.decisive.evaluator)
    if not failed:
        return list(found)
    if tx.dialect == "postgresql":  # all that this transaction will write, in the order in which others do
        tx.rows_in("lock_samples", "ids", sorted({verdict.request_id for verdict in found}))
    judges = _Judges(tx, set(failed.values()))
    rows = tx.rows_in("failures_of_samples", "ids", sorted(failed))
    counted = [row for old in rows if (row := judges.count(old, failed[old["request_id"]], now)) is not None]
    tx.many("note_failure", counted)
    over = {row["request_id"]: row["failing"] for row in counted if row["failures"] >= MOST}
    return [_unscored(v) if v.decisive.evaluator == over.get(v.request_id) else v for v in found]


class _Judges:
    """How the judges do that could not be asked this time."""

    def __init__(self, tx: Transaction, names: set[str]) -> None:
        self._tx = tx
        self._answers = {r["evaluator"]: r["answers"] for r in tx.rows("answers_of_judges", judges=sorted(names))}
        self._waiting: dict[str, int] = {}

    def count(self, old: Row, judge: str, now: Micros) -> Row | None:
        """What is to be kept of a sample that failed; None where this failure says nothing of the sample."""
        answers = self._answers.get(judge, 0)
        failures = 1
        if old["failing"] == judge:
            between = answers - old["answers_then"]
            if now - old["failed_at"] < APART or not between or between < HEALTHY * self._waiting_for(judge):
                return None
            failures = old["failures"] + 1
        kept = {"failing": judge, "failures": failures, "failed_at": now, "answers_then": answers}
        return {"request_id": old["request_id"], **kept}

    def _waiting_for(self, judge: str) -> int:
        if judge not in self._waiting:
            most = self._answers[judge] // HEALTHY + 1  # more of them would say the same
            self._waiting[judge] = int(self._tx.value("samples_that_fail", judge=judge, most=most))
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
