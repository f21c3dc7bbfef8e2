"""`tidegauge check` and the store that is there."""

import os
from pathlib import Path

import pytest

from tests.support.ingest import begin
from tests.support.logs import line
from tidegauge.alerts.webhook import SECRET
from tidegauge.cli import main
from tidegauge.storage.store import Store


def config(place: Path, url: str, rate: float) -> str:
    path = place / "tidegauge.yaml"
    path.write_text(f"store: {{url: '{url}'}}\nsampling: {{rate: {rate}}}\n")
    return str(path)


def test_another_rate_than_the_store_s_is_said(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(store, 0.05)
    for rate, warned in ((0.05, False), (0.2, True)):
        assert main(["--config", config(tmp_path, store.url, rate), "check"]) == 0
        said = capsys.readouterr().err
        assert ("warning: sampling.rate is 0.2 but the store samples at 0.05 since plan 1" in said) == warned
        assert ("tidegauge sampling set 0.2" in said) == warned


def test_no_store_is_made_and_one_that_is_empty_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.db"
    named = config(tmp_path, f"sqlite:///{file}", 0.2)
    assert main(["--config", named, "check"]) == 0
    assert not file.exists()
    file.touch()
    assert main(["--config", named, "check"]) == 0
    assert "sampling.rate" not in capsys.readouterr().err


def test_a_store_that_cannot_be_reached_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://127.0.0.1:1/nothing"
    assert main(["--config", config(tmp_path, url, 0.2), "check"]) == 0
    assert "warning: " in capsys.readouterr().err


@pytest.mark.parametrize("rollback", ["mode: auto", "mode: approve", "mode: dry_run, intents: {refunds: auto}"])
def test_a_webhook_without_a_secret_that_signs_it_is_an_error(
    rollback: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(config(tmp_path, f"sqlite:///{tmp_path}/x.db", 0.2))
    file.write_text(file.read_text() + f"rollback: {{{rollback}, webhook: {{url: 'http://127.0.0.1:9/'}}}}\n")
    for secret, code in ((None, 2), ("whsec_QUJD", 2), ("whsec_" + "QUJD" * 8, 0)):
        monkeypatch.delenv(SECRET, raising=False) if secret is None else monkeypatch.setenv(SECRET, secret)
        assert main(["--config", str(file), "check"]) == code
        said = capsys.readouterr().err
        assert (f"tidegauge: {SECRET}: " in said) == (code == 2)
        assert secret is None or secret not in said


def test_where_nothing_is_sent_no_secret_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    assert main(["--config", config(tmp_path, f"sqlite:///{tmp_path}/x.db", 0.2), "check"]) == 0


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ("", ["off: heuristics alone decide"]),
        ("evaluation: {indicators: {refusal: a}}\n", ["a: m with refusal@1.0.0"]),
        ("evaluation: {indicators: {refusal: a}}\njudge: {panel: [b]}\n", ["judge: panel of b with ", "a: m with "]),
    ],
)
def test_every_judge_that_is_asked_is_shown(
    judges: str, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(config(tmp_path, f"sqlite:///{tmp_path}/x.db", 0.2))
    known = (
        "{base_url: 'http://127.0.0.1:9/v1', model: m, rubric: refusal@1.0.0}, b: {base_url: 'http://h/v1', model: m}"
    )
    file.write_text(file.read_text() + f"judges: {{a: {known}}}\n" + judges)
    assert main(["--config", str(file), "check"]) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("judge ")]
    assert len(found) == len(said)
    assert all(line.startswith(f"judge      {start}") for line, start in zip(found, said, strict=True))


SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: slow, annotations: {tidegauge.dev/intent: refunds, tidegauge.dev/owner: sre}}
spec:
  service: support
  budgetingMethod: Occurrences
  indicator: {metadata: {name: i}, spec: {thresholdMetric: {metricSource: {spec: {indicator: error_rate}}}}}
  objectives: [{target: 0.99}]
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: p}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: c}
            spec: {severity: ticket, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 3d}}
        notificationTargets: [{kind: AlertNotificationTarget, metadata: {name: chat}, spec: {target: chat}}]
"""


def owners_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], owners: str) -> list[str]:
    file = Path(config(tmp_path, f"sqlite:///{tmp_path}/x.db", 0.2))
    (tmp_path / "slo.yaml").write_text(SLO)
    file.write_text(
        file.read_text()
        + "objectives: [slo.yaml]\nintents: {refunds: {owner: payments}, billing: {}, cart: {owner: shop}}\n"
        + "judge: {base_url: 'http://127.0.0.1:9/v1', model: m, owner: ml}\njudges: {off: {owner: nobody}}\n"
        + f"canaries: [{{name: c, canary: {{cohort: canary}}}}]\n{owners}"
    )
    assert main(["--config", str(file), "check"]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "owner" in line]


def test_owners_that_are_not_listed_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P", "json://127.0.0.1")
    payments, both = "payments: {contacts_env: P}", "payments: {contacts_env: P}, platform: {contacts_env: P}"
    assert owners_said(tmp_path, capsys, "") == []
    told = owners_said(tmp_path, capsys, f"owners: {{{both}}}\n")
    assert told == [
        "warning: intents.cart.owner: shop is not among the owners: payments, platform; platform is told",
        "warning: slo.yaml:3: tidegauge.dev/owner: sre is not among the owners: payments, platform; platform is told",
        "warning: slo.yaml:3: notificationTargets: chat is not among the owners: payments, platform; platform is told",
        "warning: judge.owner: ml is not among the owners: payments, platform; platform is told",
    ]
    alone = owners_said(tmp_path, capsys, f"owners: {{{payments}}}\n")
    assert alone[1:] == [line.replace(", platform; platform is", "; nobody is") for line in told]
    assert alone[0] == (
        "warning: owners: platform is not among them, so nobody is told of its own:"
        " lost logs, intents without an owner, intents.billing, canaries.c"
    )


def test_a_log_whose_name_is_not_utf8_is_an_error_that_can_be_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(config(tmp_path, f"sqlite:///{tmp_path}/x.db", 0.2))
    file.write_text(file.read_text() + f"sources: [{{files: '{tmp_path}/*.jsonl'}}]\n")
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(line() + b"\n")
    assert main(["--config", str(file), "check"]) == 1
    assert f"tidegauge: {tmp_path}/caf\\xe9.jsonl: cannot be read: its name is not UTF-8" in capsys.readouterr().err
