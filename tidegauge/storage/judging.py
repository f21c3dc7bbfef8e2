"""What judges share across workers: answers given before, the day's budgets, what was learnt about endpoints."""

from collections.abc import Iterable, Sequence

import msgspec

from tidegauge.domain import DAY, Micros, Score, Value, Verdict
from tidegauge.storage.store import Row, Transaction

CACHE_DAYS = 30
"""How long an answer may stand in for a new one."""

CACHE = "cache"

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
