"""The log of a drill: an intent's own good answers again, and from the release on some with made-up claims.

Every request is marked by its id and its experiment. The same seed writes the same bytes.
"""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegauge.demo.log import TOPICS
from tidegauge.domain import Context, Deployment, Request, Value

MARK = "drill"
START = datetime(2026, 1, 1, tzinfo=UTC)

_CLAIMS = (
    "In addition, {name} confirmed on {day} that a further {number} {unit} apply.",
    "According to {name}, this costs {number} {unit} more since {day}.",
    "Please send {number} {unit} to {name} before {day}.",
)
_NAMES = ("Ms Okonkwo", "Captain Morris", "the office in Rotterdam", "Dr Halvorsen", "Allied Mutual")
_DAYS = ("3 March", "the 17th", "Good Friday", "29 October", "the last Tuesday of June")
_UNITS = ("euros", "working days", "points", "copies", "dollars")


class Plan(Value, frozen=True, kw_only=True):
    """What is rehearsed."""

    intent: str
    seed: int
    requests_per_day: int
    healthy_days: int
    days: int
    """Of the regression, at most."""
    base_rate: float
    rate: float

    @property
    def good(self) -> Deployment:
        return Deployment(model_version="drill-model", prompt_version="drill-prompt@1", retrieval_index="drill-index")

    @property
    def bad(self) -> Deployment:
        return Deployment(model_version="drill-model", prompt_version="drill-prompt@2", retrieval_index="drill-index")


class Scenario:
    """Writes the log a quarter of a day at a time. `truth` is what only the simulated reviewers know."""

    def __init__(self, plan: Plan, material: Sequence[Request]) -> None:
        self.plan = plan
        self.truth: dict[str, bool] = {}
        self._material = list(material) or invented(plan.intent)
        self._random = random.Random(plan.seed)  # noqa: S311 - a simulation

    @property
    def quarters(self) -> int:
        return 4 * (self.plan.healthy_days + self.plan.days)

    @property
    def released_at(self) -> datetime:
        return START + timedelta(days=self.plan.healthy_days)

    def write_quarter(self, folder: Path, quarter: int) -> None:
        """The log of six hours, counted from 0."""
        count = self.plan.requests_per_day // 4
        seconds = sorted(self._random.uniform(0, 6 * 3600) for _ in range(count))
        lines = [json.dumps(self._request(quarter, number, at)) for number, at in enumerate(seconds)]
        (folder / f"{MARK}-{quarter:04d}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def _request(self, quarter: int, number: int, second: float) -> dict[str, Any]:
        rng, plan = self._random, self.plan
        at = START + timedelta(hours=6 * quarter, seconds=second)
        released = at >= self.released_at
        hallucinated = rng.random() < (plan.rate if released else plan.base_rate)
        base = rng.choice(self._material)
        name = f"{MARK}-{plan.seed}-{quarter:04d}-{number:06d}"
        self.truth[name] = hallucinated
        deployment = plan.bad if released else plan.good
        response = base.response or ""
        return {
            "request_id": name,
            "timestamp": at.isoformat(timespec="milliseconds"),
            "intent": plan.intent,
            "experiment": MARK,
            "tenant": MARK,
            "model_version": deployment.model_version,
            "prompt_version": deployment.prompt_version,
            "retrieval_index": deployment.retrieval_index,
            "question": base.asked,
            "contexts": [{"text": context.text} for context in base.contexts],
            "response": f"{response} {self._claim()}" if hallucinated else response,
            "latency_ms": round(rng.lognormvariate(6.7, 0.4), 1),
        }

    def _claim(self) -> str:
        rng = self._random
        return rng.choice(_CLAIMS).format(
            name=rng.choice(_NAMES), day=rng.choice(_DAYS), number=rng.randrange(11, 990), unit=rng.choice(_UNITS)
        )


def invented(intent: str) -> list[Request]:
    """Good answers of the demo's support assistant, for an intent of which nothing was judged yet."""
    topic = TOPICS.get(intent) or next(iter(TOPICS.values()))
    return [
        Request(
            request_id="",
            timestamp=0,
            intent=intent,
            deployment=Deployment(model_version="", prompt_version="", retrieval_index=""),
            question=topic.question,
            contexts=tuple(Context(text=text) for text in topic.facts),
            response=answer,
        )
        for answer in topic.good
    ]
