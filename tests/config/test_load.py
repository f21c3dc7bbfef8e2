"""tidegauge.yaml: what is accepted, and one line for everything else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegauge.config import Config
from tidegauge.config_load import load, misspelt, variables
from tidegauge.errors import ConfigError


def write(directory: Path, text: str) -> Path:
    path = directory / "tidegauge.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_is_the_defaults_with_absolute_paths(tmp_path: Path) -> None:
    config = load(write(tmp_path, "# nothing yet\n"), {})
    assert config.store.url == f"sqlite:///{tmp_path}/tidegauge.db"
    assert config.directory == tmp_path
    assert config.sampling == Config().sampling


def test_a_full_file(tmp_path: Path) -> None:
    text = """
store: {url: "sqlite:////srv/t.db"}
sources: [{files: "logs/*.jsonl"}, {files: /var/log/x.jsonl.gz}]
sampling: {rate: 1e-3}
intents: {"*": {objective: 0.03, owner: platform}, refunds.policy: {risk: high, owner: payments}}
owners: {payments: {contacts_env: PAYMENTS_CONTACTS}}
judge: {base_url: "http://127.0.0.1:9/v1", model: m, concurrency: 8}
prices: [{model: my-model, from: 2026-01-01, input_per_million: 0.5, output_per_million: 2}]
review: {labels_per_day: 40}
rollback: {mode: auto, webhook: {url: "https://hooks.example/x"}}
"""
    config = load(write(tmp_path, text), {})
    assert config.store.url == "sqlite:////srv/t.db"
    assert [s.files for s in config.sources] == [f"{tmp_path}/logs/*.jsonl", "/var/log/x.jsonl.gz"]
    assert config.sampling.rate == 0.001
    assert config.prices[0].valid_from == "2026-01-01"
    assert config.objective("refunds.policy").theta0 == 0.03
    assert config.objective("refunds.policy").owner == "payments"
    assert config.objective("not.named").labels_per_day == 40
    assert config.rollback.webhook.url == "https://hooks.example/x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sampling:\n  raet: 0.1",
            "tidegauge.yaml:2: sampling.raet: unknown key; allowed: escalate, rate; did you mean",
        ),
        ("samplign: {}", "tidegauge.yaml:1: samplign: unknown key; allowed: "),
        ("sampling: {rate: -0.1}", "tidegauge.yaml:1: sampling.rate: expected a number from 0 to 1, got -0.1"),
        ("sampling: {rate: many}", "tidegauge.yaml:1: sampling.rate: expected a number from 0 to 1, got text"),
        ("sampling: {rate: .nan}", "sampling.rate: expected a number from 0 to 1, got .nan"),
        ("sampling: {rate: true}", "sampling.rate: expected a number from 0 to 1, got true"),
        ("sampling: 3", "tidegauge.yaml:1: sampling: expected `key: value` lines, got 3"),
        ("judge:\n  concurrency: 1.5", "tidegauge.yaml:2: judge.concurrency: expected a whole number of at least 1"),
        ("sources: logs", "tidegauge.yaml:1: sources: expected a list, got text"),
        ("sources: [{}]", "tidegauge.yaml:1: sources.0: expected `files` with a glob, or `kafka` with"),
        ("sources: [{files: ''}]", "tidegauge.yaml:1: sources.0.files: expected a glob"),
        (
            "rollback: {mode: atuo}",
            "rollback.mode: expected one of approve, auto, dry_run, got text; did you mean auto?",
        ),
        ("rollback:\n\n  mode: auto", "tidegauge.yaml:3: rollback.mode: auto needs rollback.webhook.url"),
        ("review: {}\nreview: {}", "tidegauge.yaml:2: review: set twice; first on line 1"),
        ("evaluation:\n  evaluators: [rules, overlpa]", "tidegauge.yaml:2: evaluation.evaluators.1: unknown evaluator"),
        ("evaluation: {evaluators: []}", "evaluation.evaluators: at least one is needed"),
        ("judge: {base_url: 'http://x/v1'}", "judge.model: needed when base_url is set"),
        ("judge: {base_url: 'x', model: m}", "judge.base_url: expected a URL that begins with http"),
        ("judge: {rubric: latest}", "judge.rubric: expected NAME@VERSION"),
        ("store: {url: 'mysql://x/y'}", "store.url: a store is sqlite:///FILE or postgresql://HOST/NAME"),
        (
            "prices: [{model: m, input_per_million: 1, output_per_million: 1, from: soon}]",
            "prices.0.from: expected a day",
        ),
        ("prices: [{model: m, input_per_million: 1}]", "prices.0: output_per_million is missing"),
        ("sampling:\n\trate: 1", "tidegauge.yaml:2: not valid YAML: a tab; YAML is indented with spaces"),
        ("sampling: [", "not valid YAML"),
        ("- a\n- b", "tidegauge.yaml:1: expected `key: value` lines, got a list"),
        ("a: 1\n---\nb: 2", "tidegauge.yaml:2: not valid YAML"),
        ("sampling: {rate: !!python/name:os.system ''}", "sampling.rate: expected a number from 0 to 1, got the tag"),
        ("? [a]\n: 1", "a key has to be text"),
        ("sampling: &a {rate: *a}", "sampling.rate: expected a number from 0 to 1"),
        ("intents: &a {x: *a}", "unknown key"),
        ("[" * 3000, "nested too deeply"),
        (
            "intents:\n  x: {objective: 0}",
            "tidegauge.yaml:2: intents.x.objective: expected a number more",
        ),
        ("intents: {x: {objective: 1}}", "intents.x.objective: expected a number more than 0 and less than 1, got 1"),
        (
            "review: {false_positive_rate: 1}",
            "review.false_positive_rate: expected a number of at least 0 and less than 1, got 1",
        ),
        (
            "canaries: [{name: a, canary: {cohort: c}, alpha: 0}]",
            "canaries.0.alpha: expected a number more than 0 and less than 1, got 0",
        ),
        ("stream: {tick_seconds: 0}", "stream.tick_seconds: expected a number more than 0, got 0"),
    ],
)
def test_one_line_says_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, text), {})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("sampling: {key: hunter2}", "TIDEGAUGE_SAMPLING_KEY"),
        ("judge: {api_key: hunter2}", "TIDEGAUGE_JUDGE_API_KEY"),
        ("judge: {token: hunter2}", "TIDEGAUGE_JUDGE_API_KEY"),
        ("rollback: {webhook: {secret: hunter2}}", "TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET"),
        ("store: {url: 'postgresql://me:hunter2@db/t'}", "TIDEGAUGE_STORE_URL"),
        ("rollback: {webhook: {url: 'https://me:hunter2@hooks/x'}}", "TIDEGAUGE_ROLLBACK_WEBHOOK_URL"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str, variable: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, text), {})
    assert f"set {variable}" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "sampling: {rate: 0.1}\nrollback: {mode: auto}")
    config = load(
        path,
        {
            "TIDEGAUGE_STORE_URL": "postgresql://me:word@db/t",
            "TIDEGAUGE_SAMPLING_RATE": "0.5",
            "TIDEGAUGE_REVIEW_LABELS_PER_DAY": "7",
            "TIDEGAUGE_ROLLBACK_WEBHOOK_URL": "http://127.0.0.1:1/hook",
            "TIDEGAUGE_JUDGE_BASE_URL": "http://127.0.0.1:2/v1",
            "TIDEGAUGE_JUDGE_MODEL": "m",
            "TIDEGAUGE_EVALUATION_EVALUATORS": "rules, overlap",
            "TIDEGAUGE_JOB_BLOCK_BYTES": "",
            "TIDEGAUGE_STORE_PREPARED_STATEMENTS": "false",
            "TIDEGAUGE_SAMPLING_ESCALATE": "False",
            "TIDEGAUGE_JUDGE_UNCERTAIN": "0.2, 0.9",
        },
    )
    assert config.store.url == "postgresql://me:word@db/t"
    assert config.sampling.rate == 0.5
    assert config.review.labels_per_day == 7
    assert config.rollback.webhook.url == "http://127.0.0.1:1/hook"
    assert config.judge.base_url == "http://127.0.0.1:2/v1"
    assert config.evaluation.evaluators == ("rules", "overlap")
    assert (config.store.prepared_statements, config.sampling.escalate) == (False, False)
    assert config.judge.uncertain == (0.2, 0.9)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TIDEGAUGE_SAMPLING_RATE", "lots", "expected a number from 0 to 1"),
        ("TIDEGAUGE_SAMPLING_RATE", "1.5", "expected a number from 0 to 1"),
        ("TIDEGAUGE_JUDGE_CONCURRENCY", "2.5", "expected a whole number of at least 1"),
        ("TIDEGAUGE_ROLLBACK_MODE", "now", "expected one of approve, auto, dry_run"),
        ("TIDEGAUGE_STORE_URL", "oracle://me:hunter2@db", "a store is sqlite:///FILE"),
        ("TIDEGAUGE_SAMPLING_ESCALATE", "hunter2", "expected true or false"),
        ("TIDEGAUGE_JUDGE_UNCERTAIN", "0.3, high", "expected a number from 0 to 1"),
        ("TIDEGAUGE_JUDGE_UNCERTAIN", "0.3", "expected two rates"),
        ("TIDEGAUGE_JUDGE_FALLBACKS", "http://127.0.0.1:1/v1", "belongs in tidegauge.yaml"),
        ("TIDEGAUGE_INTENTS", "refunds", "belongs in tidegauge.yaml"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"environment: {name}: .*{message}") as raised:
        load(write(tmp_path, ""), {name: value})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("name", [*variables(), "TIDEGAUGE_SOURCES", "TIDEGAUGE_CANARIES", "TIDEGAUGE_INTENTS"])
@pytest.mark.parametrize("value", ["1", "0", "x", "true", "-0.5", "0.3, 0.7", "[]", "1e999", "\u0661"])
def test_whatever_a_variable_says_is_a_configuration_or_an_error_of_one_line(
    tmp_path: Path, name: str, value: str
) -> None:
    try:
        said = str(load(write(tmp_path, ""), {name: value}).directory)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_variables_and_near_misses() -> None:
    assert {"TIDEGAUGE_STORE_URL", "TIDEGAUGE_ROLLBACK_WEBHOOK_URL", "TIDEGAUGE_JOB_OLDEST_DAYS"} <= set(variables())
    assert misspelt({"TIDEGAUGE_SAMPLING_RAET": "1", "TIDEGAUGE_CI": "1", "HOME": "x"}) == {
        "TIDEGAUGE_SAMPLING_RAET": "TIDEGAUGE_SAMPLING_RATE"
    }


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; write one with `tidegauge init`"):
        load(tmp_path / "tidegauge.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="byte 0 is not UTF-8"):
        load(tmp_path / "x.yaml", {})


_words = st.sampled_from(
    ["store", "url", "sources", "files", "sampling", "rate", "judge", "intents", "*", "model", "from"]
)
_scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats().map(str), st.text(max_size=8), _words)
_trees = st.recursive(
    _scalars.map(repr),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: "[" + ", ".join(parts) + "]"),
        st.dictionaries(_words, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f"'{k}': {v}" for k, v in d.items()) + "}"
        ),
    ),
    max_leaves=12,
)
_lines = st.dictionaries(_words, _trees, max_size=4).map(lambda d: "\n".join(f"{k}: {v}" for k, v in d.items()))


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(), _trees, _lines))
def test_any_text_is_a_configuration_or_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tidegauge.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        said = str(load(path, {}).directory)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_a_kafka_source_is_read_whole(tmp_path: Path) -> None:
    text = """
sources:
  - kafka: broker-1:9092,[::1]:9092
    topics: [requests, ^more-.*]
    start: latest
    headers: {tenant: x-tenant}
    config: {security.protocol: SASL_SSL, socket.timeout.ms: 5000, enable.ssl.certificate.verification: false}
    config_env: {sasl.password: KAFKA_PASSWORD}
  - {kafka: broker-3, topics: requests, group: another}
"""
    one, two = load(write(tmp_path, text), {}).sources
    assert one.topic_names == ("requests", "^more-.*")
    assert list(one.config.values()) == ["SASL_SSL", 5000, False]
    assert (one.group, one.start, one.files) == ("tidegauge", "latest", None)
    assert (two.group, two.topic_names) == ("another", ("requests",))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{kafka: b, topics: t, files: x}", "sources.0: `files` and `kafka` are two sources"),
        ("{files: x, topics: t}", "sources.0: topics, group, start, record_bytes, headers and config belong to"),
        ("{kafka: b}", "sources.0.topics: expected a topic"),
        ("{kafka: 'b 1', topics: t}", "sources.0.kafka: expected brokers such as"),
        ("{kafka: b, topics: 'a b'}", "sources.0.topics: a topic is letters"),
        ("{kafka: b, topics: '^('}", "sources.0.topics: not a pattern"),
        ("{kafka: b, topics: t, start: first}", "sources.0.start: expected one of earliest, latest"),
        ("{kafka: b, topics: t, config: {group.id: x}}", "sources.0.config.group.id: is not for you to set"),
        ("{kafka: b, topics: t, config_env: {sasl.password: '1 2'}}", "expected the name of an environment variable"),
        ("{kafka: b, topics: t}, {kafka: c, topics: u}", "sources.1.group: 'tidegauge' is another source's"),
    ],
)
def test_a_kafka_source_that_cannot_be_is_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, f"sources: [{source}]"), {})
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"])
def test_a_kafka_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="under config_env") as raised:
        load(write(tmp_path, f"sources: [{{kafka: b, topics: t, config: {{{key}: hunter2}}}}]"), {})
    assert "hunter2" not in str(raised.value)
