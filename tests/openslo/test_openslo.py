"""OpenSLO documents: what is accepted, one line for everything else, and the way back to YAML."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegauge.cli import main
from tidegauge.commands.example_slos import EXAMPLE
from tidegauge.config import Config, IntentSection
from tidegauge.config_load import load
from tidegauge.errors import ObjectivesInvalid
from tidegauge.openslo import Level, Slo, Window, documents_of, dump, read_text, resolve
from tidegauge.openslo import documents as d

SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: refunds
  annotations: {tidegauge.dev/intent: refunds.policy, tidegauge.dev/indicator: hallucination}
spec:
  service: support
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""

LATENCY = SLO.replace("hallucination", "latency")


def slos(text: str) -> tuple[list[Slo], list[str]]:
    placed, problems = read_text(text, "a.yaml")
    found, wrong = resolve(placed)
    return found, problems + wrong


def test_the_least_that_is_needed() -> None:
    found, problems = slos(SLO)
    assert problems == []
    (slo,) = found
    assert (slo.indicator, slo.intent, slo.allowed) == ("hallucination", "refunds.policy", 0.01)
    assert (slo.window, slo.place) == (Window(), "a.yaml:4")
    assert [level.burn for level in slo.levels] == [2, 5]


def test_the_example_of_init_uses_everything() -> None:
    found, problems = slos(EXAMPLE)
    assert problems == []
    assert [slo.indicator for slo in found] == [
        *("hallucination", "error_rate", "fallback_share", "task_success", "latency")
    ]
    assert {slo.window.rolling for slo in found} == {True, False}
    assert found[0].levels == (Level(burn=2, hours=72), Level(burn=5, hours=24))
    assert found[0].notify == ("platform",)
    assert found[4].threshold_ms == 10_000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: SLO", "kind: Slo", "a.yaml:2: kind: invalid value 'Slo'"),
        ("  service: support\n", "", "a.yaml:6: spec: service is missing"),
        ("service: support", "servcie: support", "a.yaml:7: spec.servcie: unknown field"),
        ("openslo/v1", "openslo/v9", "a.yaml:1: apiVersion: invalid enum value 'openslo/v9'"),
        ("0.99", "99", "a.yaml:9: spec.objectives[0].target: expected float < 1.0"),
        (
            "0.99",
            "0.9999999999999",
            "spec.objectives[0].target: nothing could be bad; expected a target below 1",
        ),
        (
            "0.99",
            "0.0000000000001",
            "spec.objectives[0].target: nothing would ever be bad; expected a target above 0",
        ),
        ("{target: 0.99}", "{}", "a.yaml:9: spec.objectives[0]: give one of target and targetPercent"),
        ("Occurrences", "Timeslices", "a.yaml:8: spec.budgetingMethod: only Occurrences is measured"),
        ("dev/intent", "dev/intnet", "did you mean tidegauge.dev/intent?"),
        ("hallucination}", "halucination}", "unknown indicator halucination; allowed: "),
        (", tidegauge.dev/indicator: hallucination", "", "give one of indicator and indicatorRef"),
        ("hallucination}", "latency}", "a.yaml:9: spec.objectives[0]: latency needs a threshold"),
        ("  service:", "  indicatorRef: nobody\n  service:", "a.yaml:7: spec.indicatorRef: nothing is called nobody"),
        ("  service:", "  timeWindow: [{duration: 1M}]\n  service:", "expected days and weeks, such as 28d"),
        ("  service:", "  timeWindow: [{duration: soon}]\n  service:", "spec.timeWindow[0].duration: expected str"),
        ("  service:", "  alertPolicies: [none]\n  service:", "spec.alertPolicies[0]: nothing is called none"),
        ("hallucination}", "hallucination, tidegauge.dev/risk: hgih}", "expected one of high, normal"),
        ("  service: support", "  service: support\n  service: b", "a.yaml:8: spec.service: set twice"),
        ("SLO", "\tSLO", "a.yaml:2: not valid YAML"),
    ],
)
def test_one_line_says_what_and_where(old: str, new: str, message: str) -> None:
    found, problems = slos(SLO.replace(old, new, 1))
    assert not found
    assert any(message in problem for problem in problems), problems


def test_high_risk_allows_three_percent() -> None:
    high = SLO.replace("hallucination}", "hallucination, tidegauge.dev/risk: high}")
    assert slos(high.replace("0.99", "0.97"))[0][0].allowed == 0.03
    assert "risk high allows at most 3 % bad answers, this 4 %" in slos(high.replace("0.99", "0.96"))[1][0]


def test_every_problem_of_every_document_is_told() -> None:
    wrong = SLO.replace("0.99", "99").replace("service", "servcie")
    problems = slos(f"{wrong}---\n{LATENCY}---\n{SLO}---\n{SLO.replace('name: refunds', 'name: again')}")[1]
    assert len(problems) == 5
    assert problems[-1] == "a.yaml:34: hallucination of refunds.policy has an objective already, at a.yaml:24"


def test_a_calendar_window() -> None:
    window = "  timeWindow: [{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}]\n"
    text = SLO.replace("  service", window + "  service", 1)
    expected = Window(count=1, unit="M", rolling=False, start="2026-01-01 00:00:00", zone="Europe/Berlin")
    assert slos(text)[0][0].window == expected
    assert "IANA" in slos(text.replace("Berlin", "Nowhere"))[1][0]
    assert "expected a time such as" in slos(text.replace("00:00:00", "noon"))[1][0]


def test_a_contact_url_is_no_part_of_a_file() -> None:
    target = "apiVersion: openslo/v1\nkind: AlertNotificationTarget\nmetadata: {name: a}\n"
    problems = slos(target + "spec: {target: 'slack://s3cret@x'}\n")[1]
    assert "a contact URL is a secret" in problems[0]
    assert "s3cret" not in problems[0]


names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
spec = st.builds(
    d.SloSpec,
    service=texts,
    objectives=st.tuples(st.builds(d.ObjectiveItem, target=st.floats(0, 0.999), value=st.floats(-9, 9))),
    time_window=st.tuples(st.builds(d.TimeWindow, duration=st.sampled_from(["28d", "1M"]))),
    alert_policies=st.tuples(texts),
)
burn = st.builds(d.Burn, threshold=st.floats(0.1, 99), lookback_window=st.just("1h"), alert_after=st.just("0m"))
metadata = st.builds(d.Metadata, name=names, annotations=st.dictionaries(texts, texts, max_size=2), labels=st.just({}))
for known, strategy in (
    (d.Metadata, metadata),
    (d.MetricSource, st.builds(d.MetricSource, spec=st.dictionaries(texts, anything, max_size=2))),
    (d.Burn, burn),
    (d.PolicySpec, st.builds(d.PolicySpec, conditions=st.tuples(st.builds(d.ConditionItem)))),
    (d.SloSpec, spec),
):
    st.register_type_strategy(known, strategy)
documents = st.one_of([st.builds(kind, api_version=st.just("openslo/v1")) for kind in d.AnyDocument.__args__])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, max_size=3))
def test_what_is_written_reads_back_as_the_same_documents(given_documents: list[d.AnyDocument]) -> None:
    placed, problems = read_text(dump(given_documents), "a.yaml")
    assert problems == []
    assert [one.document for one in placed] == given_documents


@pytest.mark.parametrize(
    "text", ["a\x85b", "\u2028", "äöü", "yes", "2026-01-01", "1e3", " a ", "x " * 200, "a\n\tb", "#"]
)
def test_any_text_comes_back(text: str) -> None:
    target = d.NotifyDocument(
        api_version="openslo/v1", metadata=d.Metadata(name="a"), spec=d.NotifySpec(target=text, description=text)
    )
    placed, problems = read_text(dump([target]), "a.yaml")
    assert problems == []
    assert placed[0].document == target


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80) | st.builds(lambda at, new: SLO[:at] + new + SLO[at + 3 :], st.integers(0, 300), texts))
def test_any_text_is_documents_or_problems_of_one_line(text: str) -> None:
    placed, problems = read_text(text, "a.yaml")
    problems += resolve(placed)[1]
    assert all("\n" not in problem and problem.startswith("a.yaml") for problem in problems)


@settings(max_examples=60, deadline=None)
@given(st.builds(Slo, name=names, intent=texts.filter(str.strip), allowed=st.integers(1, 29).map(lambda n: n / 1000)))
def test_objectives_of_the_configuration_become_documents(slo: Slo) -> None:
    plain = msgspec.structs.replace(slo, window=Window(), levels=Slo(name="", intent="", allowed=0).levels)
    plain = msgspec.structs.replace(plain, indicator="hallucination", threshold_ms=None, risk="high", notify=())
    (found,), problems = slos(dump(documents_of([plain])))
    assert problems == []
    assert (found.intent, found.allowed, found.owner) == (plain.intent, plain.allowed, plain.owner)


def test_the_file_wins_over_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "a.yaml").write_text(SLO)
    intents = "intents: {refunds.policy: {objective: 0.02, owner: payments}, billing: {objective: 0.05}}\n"
    (tmp_path / "tidegauge.yaml").write_text(f'objectives: ["slo/*.yaml"]\n{intents}')
    config = load(tmp_path / "tidegauge.yaml", {})
    assert config.objective("refunds.policy").theta0 == 0.01
    assert config.objective("refunds.policy").owner == "payments"
    assert config.objective("billing").theta0 == 0.05
    assert config.objective("other").theta0 == 0.03
    (tmp_path / "slo" / "a.yaml").write_text(SLO.replace("refunds.policy", '"*"'))
    config = load(tmp_path / "tidegauge.yaml", {})
    assert [config.objective(i).theta0 for i in ("refunds.policy", "billing", "other")] == [0.02, 0.05, 0.01]


def test_a_high_risk_intent_inherits_at_most_three_percent() -> None:
    config = Config(intents={"*": IntentSection(objective=0.1), "refunds": IntentSection(risk="high")})
    assert (config.objective("refunds").theta0, config.objective("x").theta0) == (0.03, 0.1)


def test_check_tells_all_and_exits_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["check"]) == 0
    assert "objective  error_rate of *: 1 % in 28d" in capsys.readouterr().out
    assert main(["slo", "export"]) == 0
    exported = capsys.readouterr().out
    places = lambda text: [msgspec.structs.replace(slo, place="") for slo in slos(text)[0]]  # noqa: E731
    assert places(exported) == places(EXAMPLE)
    (tmp_path / "slo" / "b.yaml").write_text(SLO.replace("0.99", "99") + "---\n" + LATENCY)
    assert main(["check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "tidegauge: slo/b.yaml:9: spec.objectives[0].target: expected float < 1.0" in lines
    with pytest.raises(ObjectivesInvalid, match="and 2 more"):
        load(tmp_path / "tidegauge.yaml", {})
