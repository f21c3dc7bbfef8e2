"""The request log of an imagined support assistant, with known truth. The same seed writes the same bytes."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

START = datetime(2026, 11, 1, tzinfo=UTC)
BASE_RATE = 0.01
REGRESSED_RATE = 0.15
REGRESSED_FROM = 6
"""Day, counted from 1, on which the release that breaks an intent goes out."""


class Topic(NamedTuple):
    """One intent: a question, what the documents say, and the good and the made-up ways to answer."""

    question: str
    facts: tuple[str, ...]
    good: tuple[str, ...]
    made_up: tuple[str, ...]


TOPICS = {
    "refunds.policy": Topic(
        "When do I get my money back?",
        (
            "Refunds are paid within 10 days after the parcel is back in our warehouse.",
            "The amount goes to the card that was used for the purchase.",
        ),
        ("The refund is paid within 10 days after the parcel is back.", "The amount goes to the card that you used."),
        (
            "The refund is paid within 3 hours, with a bonus of 25 euros from Ms Keller.",
            "The amount goes to any bank account that you name by telephone before Friday.",
            "Refunds are paid before the parcel is back in our warehouse.",
        ),
    ),
    "shipping.status": Topic(
        "Where is my parcel?",
        (
            "Parcels leave the warehouse on the next working day.",
            "Delivery takes 2 to 4 days; a tracking link is sent.",
        ),
        ("Your parcel leaves the warehouse on the next working day.", "Delivery takes 2 to 4 days."),
        (
            "Your parcel was handed to Captain Morris in Rotterdam at 17:45.",
            "Delivery takes 2 to 4 hours and costs 19 dollars more.",
            "A parcel never leaves the warehouse on a working day.",
        ),
    ),
    "warranty.terms": Topic(
        "How long is the warranty?",
        ("The warranty lasts 24 months from the day of delivery.", "Wear and water damage are not covered."),
        ("The warranty lasts 24 months from the day of delivery.", "Water damage is not covered."),
        (
            "The warranty lasts 60 months and covers theft in Portugal.",
            "Water damage is covered up to 900 euros by Allied Mutual.",
            "Wear and water damage are covered.",
        ),
    ),
    "account.access": Topic(
        "I cannot log in.",
        ("A reset link is sent by e-mail and holds for 30 minutes.", "After 5 wrong passwords the account is locked."),
        (
            "Use the reset link in the e-mail; it holds for 30 minutes.",
            "After 5 wrong passwords the account is locked.",
        ),
        (
            "Call Mr Duval on extension 4471 and tell him your password.",
            "The reset link holds for 12 weeks and unlocks two accounts.",
            "The account is locked before any wrong passwords.",
        ),
    ),
    "billing.invoice": Topic(
        "Where do I find my invoice?",
        ("Invoices are in the account under Orders.", "They can be changed within 14 days of the purchase."),
        ("Your invoice is in the account under Orders.", "It can be changed within 14 days of the purchase."),
        (
            "Your invoice is kept by the tax office in Lyon for 7 years.",
            "It can be changed at any time for a fee of 12 pounds.",
            "Invoices are not in the account under Orders.",
        ),
    ),
}

RELEASES = (
    (1, ("atlas-large-2026-08", "support-answer@3.0.0", "idx-7c1e09d2")),
    (4, ("atlas-large-2026-08", "support-answer@3.0.0", "idx-b83f5a10")),
    (REGRESSED_FROM, ("atlas-large-2026-08", "support-answer@3.1.0", "idx-b83f5a10")),
    (11, ("atlas-large-2026-10", "support-answer@3.1.0", "idx-b83f5a10")),
)
"""The day on which a release goes out, and its model, prompt and index: each changes one thing."""


class SupportAssistant:
    """Writes its log a day at a time. `truth` says what the product never gets to see."""

    def __init__(self, seed: int, requests: int, days: int, regress: str | None) -> None:
        self.truth: dict[str, bool] = {}
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._seed = seed
        self._a_day = requests // days
        self._regress = regress

    def write_day(self, folder: Path, day: int) -> Path:
        """The log of a day, counted from 1."""
        path = folder / f"requests-day-{day:02d}.jsonl"
        seconds = sorted(self._second() for _ in range(self._a_day))
        lines = (json.dumps(self._request(day, number, at)) for number, at in enumerate(seconds))
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    def _second(self) -> float:
        """Quiet nights, busy afternoons."""
        while True:
            second = self._random.random() * 86_400
            if self._random.random() < 0.6 + 0.4 * math.sin(2 * math.pi * (second / 86_400 - 0.375)):
                return second

    def _request(self, day: int, number: int, second: float) -> dict[str, Any]:
        rng = self._random
        intent = rng.choices(tuple(TOPICS), (4, 5, 2, 3, 2))[0]
        model, prompt, index = [parts for first, parts in RELEASES if first <= day][-1]
        name = f"demo-{self._seed}-{day:02d}-{number:05d}"
        regressed = intent == self._regress and day >= REGRESSED_FROM
        hallucinated = rng.random() < (REGRESSED_RATE if regressed else BASE_RATE)
        topic = TOPICS[intent]
        answer = rng.choice(topic.made_up if hallucinated else topic.good)
        status = rng.choices(("ok", "error", "timeout"), (985, 10, 5))[0]
        self.truth[name] = hallucinated
        request = {
            "request_id": name,
            "timestamp": (START + timedelta(days=day - 1, seconds=second)).isoformat(timespec="milliseconds"),
            "intent": intent,
            "tenant": f"tenant-{min(int(rng.paretovariate(1.1)), 12):02d}",
            "feature": "support",
            "provider": "openai",
            "model_version": model,
            "prompt_version": prompt,
            "retrieval_index": index,
            "question": topic.question,
            "contexts": [{"id": f"{intent}-{n}", "text": text} for n, text in enumerate(topic.facts)],
            "input_tokens": rng.randrange(200, 900),
            "output_tokens": len(answer) // 4,
            "cost_usd": round(rng.uniform(0.0004, 0.002), 6),
            "latency_ms": round(rng.lognormvariate(6.7, 0.4), 1),
            "retrieval_latency_ms": round(rng.lognormvariate(3.8, 0.4), 1),
            "status": status,
            "served_by": "fallback" if rng.random() < 0.02 else "primary",
        }
        return request | ({"response": answer} if status == "ok" else {})
