"""What tidegauge.yaml may say beyond the types: rules between keys, known names, and where secrets live instead."""

import re
from collections.abc import Callable
from datetime import date
from difflib import get_close_matches

from tidegauge.config import Config

EVALUATORS = ("rules", "overlap", "judge")
"""Names of the evaluators that a cascade is built from."""

KNOWN_SECRETS = {
    ("sampling", "key"): "TIDEGAUGE_SAMPLING_KEY",
    ("judge", "api_key"): "TIDEGAUGE_JUDGE_API_KEY",
    ("rollback", "webhook", "secret"): "TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET",
}
"""Where a secret would be written, and the variable that it is read from."""

Problem = tuple[tuple[str, ...], str]

_PASSWORD = re.compile(r"^[a-z0-9+.-]+://[^/?#@:]*:[^/?#@]+@", re.IGNORECASE)
_URL = re.compile(r"^https?://[^\s/?#]+", re.IGNORECASE)
_STORE = re.compile(r"^(sqlite:///|postgres(ql)?(\+psycopg)?://)")
_RUBRIC = re.compile(r"^[a-z0-9_-]+@\d+\.\d+\.\d+$")


def password_in(url: str) -> bool:
    return _PASSWORD.match(url) is not None


def broken_rule(config: Config) -> Problem | None:
    """The first rule that the configuration breaks: the key and what is wrong with it."""
    rules: tuple[Callable[[Config], Problem | None], ...] = (_store, _sources, _evaluators, _judge, _prices, _rollback)
    return next((problem for rule in rules if (problem := rule(config))), None)


def _store(config: Config) -> Problem | None:
    if not _STORE.match(config.store.url):
        return ("store", "url"), "a store is sqlite:///FILE or postgresql://HOST/NAME"
    return None


def _sources(config: Config) -> Problem | None:
    for position, source in enumerate(config.sources):
        if not source.files.strip():
            return ("sources", str(position), "files"), 'expected a glob such as "logs/*.jsonl"'
    return None


def _evaluators(config: Config) -> Problem | None:
    key = ("evaluation", "evaluators")
    names = config.evaluation.evaluators
    for name in names:
        if name not in EVALUATORS:
            near = get_close_matches(name, EVALUATORS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            return key, f"unknown evaluator {name[:40]!r}; allowed: {', '.join(EVALUATORS)}{hint}"
    if len(set(names)) < len(names):
        return key, "an evaluator is named twice"
    return None if names else (key, f"at least one is needed; allowed: {', '.join(EVALUATORS)}")


def _judge(config: Config) -> Problem | None:
    judge = config.judge
    if not _RUBRIC.match(judge.rubric):
        return ("judge", "rubric"), "expected NAME@VERSION, such as hallucination@1.0.0"
    if judge.base_url is None:
        return None
    if not _URL.match(judge.base_url):
        return ("judge", "base_url"), "expected a URL that begins with http:// or https://"
    return None if judge.model else (("judge", "model"), "needed when judge.base_url is set")


def _prices(config: Config) -> Problem | None:
    for position, price in enumerate(config.prices):
        try:
            date.fromisoformat(price.valid_from)
        except ValueError:
            return ("prices", str(position), "from"), "expected a day such as 2026-01-01"
    return None


def _rollback(config: Config) -> Problem | None:
    url = config.rollback.webhook.url
    if url is not None and not _URL.match(url):
        return ("rollback", "webhook", "url"), "expected a URL that begins with http:// or https://"
    if config.rollback.mode == "auto" and url is None:
        return ("rollback", "mode"), "auto needs rollback.webhook.url, or TIDEGAUGE_ROLLBACK_WEBHOOK_URL"
    if config.rollback.mode == "approve" and url is None:
        return ("rollback", "mode"), "approve needs rollback.webhook.url, or TIDEGAUGE_ROLLBACK_WEBHOOK_URL"
    return None
