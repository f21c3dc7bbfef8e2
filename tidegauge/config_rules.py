"""What tidegauge.yaml may say beyond the types: rules between keys, known names, and where secrets live instead."""

import re
from collections.abc import Callable
from datetime import date
from importlib.metadata import entry_points
from zoneinfo import available_timezones

import msgspec

from tidegauge.config import Config, JudgeSection, MatchSection
from tidegauge.config_sources import SourceSection
from tidegauge.openslo import JUDGED
from tidegauge.spelling import did_you_mean

EVALUATORS = ("rules", "overlap", "groundedness", "judge")
"""Names of the shipped evaluators."""

ENTRY_POINTS = "tidegauge.evaluators"
"""The group of entry points by which installed packages bring evaluators of their own."""

KNOWN_SECRETS = {
    ("sampling", "key"): "TIDEGAUGE_SAMPLING_KEY",
    ("judge", "api_key"): "TIDEGAUGE_JUDGE_API_KEY",
    ("rollback", "webhook", "secret"): "TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET",
}
"""Where a secret would be written, and the variable that it is read from."""

KAFKA_OWN = (
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
)
"""Settings of librdkafka that a source says in other words, or not at all."""

Problem = tuple[tuple[str, ...], str]

_PASSWORD = re.compile(
    r"^[a-z0-9+.-]+://([^/?#@:]*:[^/?#@]+@|[^?]*\?(.*&)?[a-z_]*(password|passwd|pwd|secret)=[^&#])", re.IGNORECASE
)
_URL = re.compile(r"^https?://[^\s/?#]+", re.IGNORECASE)
STORE_FORM = "a store is sqlite:///FILE or postgresql://HOST/NAME"
_STORE = re.compile(r"^(sqlite:///|postgres(ql)?(\+psycopg)?://)")
_NAME = re.compile(r"^[a-z][a-z0-9_-]*$")
_PLUGIN = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_HOURS = re.compile(r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_BROKER = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?$")
_TOPIC = re.compile(r"^[\w.-]{1,249}$", re.ASCII)
_KAFKA_SECRET = re.compile(r"password|secret|\bkey\.pem$|oauthbearer\.config$|private\.key", re.IGNORECASE)
_RUBRIC = re.compile(r"^[a-z0-9_-]+@\d+\.\d+\.\d+$")


def is_store(url: str) -> bool:
    return _STORE.match(url) is not None


def password_in(url: str) -> bool:
    return _PASSWORD.match(url) is not None


def broken_rule(config: Config) -> Problem | None:
    """The first rule that the configuration breaks: the key and what is wrong with it."""
    rules: tuple[Callable[[Config], Problem | None], ...] = (
        _store,
        _sources,
        _evaluators,
        _indicators,
        _judge,
        _prices,
        _canaries,
        _rollback,
        _owners,
        _telemetry,
    )
    return next((problem for rule in rules if (problem := rule(config))), None)


def _store(config: Config) -> Problem | None:
    if not is_store(config.store.url):
        return ("store", "url"), STORE_FORM
    return None


def _sources(config: Config) -> Problem | None:
    groups: set[str] = set()
    for position, source in enumerate(config.sources):
        problem = _one_source(source)
        if problem is None and source.kafka is not None and source.group in groups:
            problem = ("group",), f"{source.group!r} is another source's; what was read is kept by group"
        if problem:
            return ("sources", str(position), *problem[0]), problem[1]
        if source.kafka is not None:
            groups.add(source.group)
    return None


def _one_source(source: SourceSection) -> Problem | None:
    if source.files is None and source.kafka is None:
        return (), "expected `files` with a glob, or `kafka` with brokers"
    if source.kafka is None:
        if msgspec.structs.replace(source, files=None) != SourceSection():
            return (), "topics, group, start, record_bytes, headers and config belong to a source with `kafka`"
        return None if source.files and source.files.strip() else (("files",), 'expected a glob such as "logs/*.jsonl"')
    if source.files is not None:
        return (), "`files` and `kafka` are two sources; give each a line of its own"
    return _kafka(source, source.kafka)


def _kafka(source: SourceSection, brokers: str) -> Problem | None:
    if not all(_BROKER.match(broker.strip()) for broker in brokers.split(",")):
        return ("kafka",), "expected brokers such as broker1:9092,broker2:9092"
    if not source.topic_names:
        return ("topics",), "expected a topic, or a pattern such as ^requests-.*"
    if not source.group.strip():
        return ("group",), "expected a name"
    problems = (
        *map(_topic, source.topic_names),
        *(_setting(source, name) for name in (*source.config, *source.config_env)),
    )
    return next((problem for problem in problems if problem), None)


def _topic(name: str) -> Problem | None:
    if not name.startswith("^"):
        good = _TOPIC.match(name)
        return None if good else (("topics",), "a topic is letters, digits, . _ and -; a pattern begins with ^")
    try:
        re.compile(name)
    except re.error as error:
        return ("topics",), f"not a pattern: {error}"
    return None


def _setting(source: SourceSection, name: str) -> Problem | None:
    section = "config" if name in source.config else "config_env"
    if name in KAFKA_OWN:
        return (section, name), "is not for you to set: what is read when is the ledger's to say"
    if section == "config" and _KAFKA_SECRET.search(name):
        return (section, name), "a secret does not belong in this file; name its variable under config_env"
    if section == "config_env" and not _VARIABLE.match(source.config_env[name]):
        return (section, name), "expected the name of an environment variable"
    return None


def _canaries(config: Config) -> Problem | None:
    names = [section.name for section in config.canaries]
    for place, section in enumerate(config.canaries):
        if names.count(section.name) > 1:
            return ("canaries", str(place), "name"), f"{section.name!r} is named twice"
        if section.canary == MatchSection():
            return ("canaries", str(place), "canary"), "say which traffic it is, such as {cohort: canary}"
    return None


def evaluator_names(config: Config) -> list[str]:
    """Every name that a step of the cascade may have."""
    own = [plugin.rpartition(":")[2] for plugin in config.evaluation.plugins]
    return [*EVALUATORS, *config.judges, *own, *entry_points(group=ENTRY_POINTS).names]


def _evaluators(config: Config) -> Problem | None:
    key = ("evaluation", "evaluators")
    steps = config.evaluation.steps
    names = [step.name for step in steps]
    allowed = evaluator_names(config)
    for place, step in enumerate(steps):
        if step.name not in allowed:
            hint = did_you_mean(step.name, allowed)
            return (*key, str(place)), f"unknown evaluator {step.name[:40]!r}; allowed: {', '.join(allowed)}{hint}"
        low, high = step.stop_below, step.stop_above
        if low is not None and high is not None and low > high:
            return (*key, str(place)), "stop_below is above stop_above: nothing would lie within the band"
    if len(set(names)) < len(names):
        return key, "an evaluator is named twice"
    for plugin in config.evaluation.plugins:
        if not _PLUGIN.match(plugin):
            return ("evaluation", "plugins"), "expected MODULE:NAME, such as my_checks:no_prices"
    return None if names else (key, f"at least one is needed; allowed: {', '.join(allowed)}")


def _indicators(config: Config) -> Problem | None:
    key = ("evaluation", "indicators")
    for indicator, judge in config.evaluation.indicators.items():
        if indicator not in JUDGED:
            return (*key, indicator), f"unknown indicator; allowed: {', '.join(JUDGED)}"
        if judge not in config.judges:
            return (*key, indicator), f"there is no judge {judge[:40]!r} in `judges`"
    return None


def _judge(config: Config) -> Problem | None:
    for name, judge in (("judge", config.judge), *config.judges.items()):
        problem = _one_judge(config, name, judge)
        if problem:
            key = ("judge",) if judge is config.judge else ("judges", name)
            return (*key, *problem[0]), problem[1]
    return None


def _one_judge(config: Config, name: str, judge: JudgeSection) -> Problem | None:
    if name != "judge" and (name in EVALUATORS or not _NAME.match(name)):
        return (), "a judge's name is lower-case letters, digits, - and _, and no shipped evaluator's"
    if not _RUBRIC.match(judge.rubric):
        return ("rubric",), "expected NAME@VERSION, such as hallucination@1.0.0"
    if len(judge.uncertain) != 2 or judge.uncertain[0] > judge.uncertain[1]:
        return ("uncertain",), "expected two rates, the lower one first, such as [0.3, 0.7]"
    return _panel(config, name, judge) or _endpoints(judge)


def _panel(config: Config, name: str, judge: JudgeSection) -> Problem | None:
    for member in judge.panel:
        section = config.judge if member == "judge" else config.judges.get(member)
        if section is None or section.panel or member == name:
            return ("panel",), f"{member} is no single judge; a panel's members are judges of their own"
    return None


def _endpoints(judge: JudgeSection) -> Problem | None:
    for place, endpoint in enumerate(judge.fallbacks):
        if not _URL.match(endpoint.base_url):
            return ("fallbacks", str(place), "base_url"), "expected a URL that begins with http:// or https://"
    if judge.base_url is None:
        return None
    if not _URL.match(judge.base_url):
        return ("base_url",), "expected a URL that begins with http:// or https://"
    return None if judge.model else (("model",), "needed when base_url is set")


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
    modes = {("mode",): config.rollback.mode} | {("intents", name): m for name, m in config.rollback.intents.items()}
    for key, mode in modes.items():
        if mode != "dry_run" and url is None:
            return ("rollback", *key), f"{mode} needs rollback.webhook.url, or TIDEGAUGE_ROLLBACK_WEBHOOK_URL"
    return None


def _owners(config: Config) -> Problem | None:
    for name, owner in config.owners.items():
        key = ("owners", name)
        if owner.timezone not in available_timezones():
            return (*key, "timezone"), "expected a time zone such as Europe/Berlin"
        if owner.quiet_hours is not None and not _HOURS.match(owner.quiet_hours):
            return (*key, "quiet_hours"), "expected hours such as 22:00-07:00"
        for place, shift in enumerate(owner.on_call):
            if not _HOURS.match(shift.hours):
                return (*key, "on_call", str(place), "hours"), "expected hours such as 09:00-17:00"
        for variable in (owner.contacts_env, *(shift.contacts_env for shift in owner.on_call)):
            if variable is not None and not _VARIABLE.match(variable):
                return key, "contacts_env is the name of an environment variable; contacts are secrets"
    return None


def _telemetry(config: Config) -> Problem | None:
    url = config.telemetry.otlp_endpoint
    if url is not None and not _URL.match(url):
        return ("telemetry", "otlp_endpoint"), "expected a URL that begins with http:// or https://"
    return None
