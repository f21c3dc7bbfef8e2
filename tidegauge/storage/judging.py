"""What judges share across workers: answers given before, the day's budgets, what was learnt about endpoints."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tidegauge.domain import DAY, EvaluationState, Micros, Score, Value, Verdict, iso
from tidegauge.storage.store import Row, Transaction

CACHE_DAYS = 30
"""How long an answer may stand in for a new one."""

CACHE = "cache"

UNANSWERED = "pending: "
"""How the reason of a score begins whose evaluator could not be asked."""

_UNLIMITED = 1 << 62
_decode_score = msgspec.json.Decoder(Score).decode
_decode_learnt = msgspec.json.Decoder(dict[str, str]).decode


class Amount(Value, frozen=True, kw_only=True):
    """Of calls, tokens and nano-dollars."""

    calls: int = 0
    tokens: int = 0
    nano_usd: int = 0

    def times(self, n: int) -> "Amount":
        return Amount(calls=self.calls * n, tokens=self.tokens * n, nano_usd=self.nano_usd * n)

    def plus(self, other: "Amount") -> "Amount":
        return Amount(
            calls=self.calls + other.calls, tokens=self.tokens + other.tokens, nano_usd=self.nano_usd + other.nano_usd
        )

    def minus(self, other: "Amount") -> "Amount":
        return self.plus(other.times(-1))

    def holds(self, other: "Amount") -> bool:
        return self.calls >= other.calls and self.tokens >= other.tokens and self.nano_usd >= other.nano_usd


class Limit(Value, frozen=True, kw_only=True):
    """A day's budget; None where there is no limit."""

    calls: int | None = None
    tokens: int | None = None
    nano_usd: int | None = None


def cached_scores(tx: Transaction, content: str, hashes: Sequence[str]) -> dict[str, Score]:
    """What evaluators said of the same content before, by their hash."""
    rows = tx.rows_in("cached_scores", "hashes", list(hashes), content=content)
    return {row["evaluator_hash"]: _decode_score(row["body"]) for row in rows}


def cache_scores(tx: Transaction, verdicts: Iterable[Verdict], now: Micros) -> None:
    """Remembers the answers of those that were asked, and forgets the oldest ones."""
    rows: dict[tuple[str, str], Row] = {}
    for verdict in verdicts:
        for score in verdict.scores:
            if verdict.content and score.asks and score.label is not None and score.answered_by != CACHE:
                kept = msgspec.structs.replace(score, answered_by=CACHE, usage=None)
                rows[score.content_hash, verdict.content] = {
                    "evaluator_hash": score.content_hash,
                    "content": verdict.content,
                    "body": msgspec.json.encode(kept).decode(),
                    "made_at": now,
                }
    if rows:
        tx.bulk("cache_score", [row for _, row in sorted(rows.items())])
        tx.run("forget_scores", before=now - CACHE_DAYS * DAY)


def count_failures(tx: Transaction, verdicts: Iterable[Verdict], now: Micros) -> None:
    """Counts the times that judges could not be asked, in the order of the verdicts; an answer begins anew."""
    unanswered: dict[str, list[Score]] = {}
    answered: set[str] = set()
    for verdict in verdicts:
        for place, score in enumerate(verdict.scores):
            if not score.asks or score.answered_by == CACHE:
                continue
            if _could_not_be_asked(verdict, place):
                unanswered.setdefault(score.evaluator, []).append(score)
            elif score.usage is not None and score.usage.calls and not verdict.spent:
                answered.add(score.evaluator)
                unanswered.pop(score.evaluator, None)
    for judge in sorted(answered | unanswered.keys()):
        if judge in answered:
            tx.run("judge_answered", judge=judge)
        if failed := unanswered.get(judge):
            calls = sum(score.usage.calls for score in failed if score.usage is not None)
            reason = failed[-1].reason.removeprefix(UNANSWERED)
            tx.run("judge_failed", judge=judge, failures=len(failed), calls=calls, reason=reason, now=now)


def _could_not_be_asked(verdict: Verdict, place: int) -> bool:
    """Its own sample may have a verdict all the same, of a later step."""
    score = verdict.scores[place]
    pending = verdict.state is EvaluationState.PENDING and place == verdict.decided_by
    return score.score is None and (pending or score.reason.startswith(UNANSWERED))


def failing(tx: Transaction) -> dict[str, dict[str, Any]]:
    """Judges that did not answer when they were asked last."""
    return {
        row["judge"]: {
            "failures": int(row["failures"]),
            "calls": int(row["calls"]),
            "since": iso(row["since"]),
            "last_at": iso(row["last_at"]),
            "reason": row["reason"],
        }
        for row in tx.rows("judge_failures")
    }


def reserve(tx: Transaction, judge: str, day: int, wanted: Amount, limit: Limit) -> bool:
    """Takes an amount out of a day's budget, all of it or nothing."""
    tx.run("open_budget", judge=judge, day=day)
    most = {
        f"most_{name}": _UNLIMITED if (value := getattr(limit, name)) is None else value
        for name in ("calls", "tokens", "nano_usd")
    }
    return bool(tx.rows("reserve_budget", judge=judge, day=day, **msgspec.structs.asdict(wanted), **most))


def give_back(tx: Transaction, judge: str, day: int, unused: Amount) -> None:
    """Returns what was reserved and not used; more is taken where more was used."""
    tx.run("return_budget", judge=judge, day=day, **msgspec.structs.asdict(unused))


def recall(tx: Transaction, base_url: str, model: str) -> dict[str, str]:
    """What was learnt about an endpoint; nothing of a new one."""
    body = tx.value("capabilities", base_url=base_url, model=model)
    return _decode_learnt(body) if body else {}


def remember(tx: Transaction, base_url: str, model: str, learnt: dict[str, str], now: Micros) -> None:
    body = msgspec.json.encode(learnt, order="sorted").decode()
    tx.run("keep_capabilities", base_url=base_url, model=model, body=body, now=now)
