"""Metrics as Prometheus reads them, and rules that speak of metrics that there are."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import tidegauge.telemetry
from tests.service.test_budget import fill, wanted
from tests.service.test_indicators import config as counted_config
from tests.service.test_indicators import roll
from tests.service.world import NEW, NOW, OLD, decide_all, judge, request
from tidegauge.config import Config
from tidegauge.errors import UsageError
from tidegauge.service.burning import Objectives, check
from tidegauge.storage.store import Store
from tidegauge.telemetry.prometheus import metrics_text
from tidegauge.telemetry.server import MetricsServer
from tidegauge.testing.clock import ManualClock

RULES = Path(tidegauge.telemetry.__file__).with_name("rules.yaml")
WORDS = {"sum", "max", "or", "by", "rate", "scalar", "absent", "and", "on", "ignoring"}


def everything(store: Store) -> Objectives:
    """Breaches, unknown rates, tickets and counted indicators."""
    fill(store, 0, 50, 0, 0, OLD)
    fill(store, 7, 60, 50, 100, NEW)
    judge(store, [request(500 + n, 8, intent='od"d\n') for n in range(3)])
    decide_all(store)
    with store.write() as tx:
        for hour in range(0, 9):
            roll(tx, hour, 100, errors=30)
    config = counted_config()
    objectives = Objectives(config.slo, config.counted, config.as_objective)
    check(store, objectives, NOW)
    return objectives


def samples(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        found.setdefault(family.name + ("_total" if family.type == "counter" else ""), [])
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: dict, name: str, **labels: str) -> float | None:
    hits = [v for has, v in found.get(name, []) if labels.items() <= has.items()]
    assert len(hits) <= 1, (name, labels, hits)
    return hits[0] if hits else None


def test_what_is_told(store: Store):
    found = samples(metrics_text(store, everything(store), NOW))
    new = {"intent": "refunds", "deployment": NEW.id}
    assert value(found, "tidegauge_rate", **new) == pytest.approx(50 / 60)
    assert value(found, "tidegauge_state", **new, state="breach") == 1
    assert value(found, "tidegauge_state", **new, state="ok") == 0
    assert value(found, "tidegauge_rate", intent='od"d\n') is None
    assert value(found, "tidegauge_state", intent='od"d\n', state="unknown") == 1
    assert value(found, "tidegauge_incidents", intent="refunds") == 1
    assert value(found, "tidegauge_budget_burning", indicator="hallucination", intent="refunds", burn="5") == 1
    errors = {"indicator": "error_rate", "intent": "refunds"}
    assert value(found, "slo:error_budget:ratio", **errors) == pytest.approx(0.1)
    assert value(found, "slo:objective:ratio", **errors) == pytest.approx(0.9)
    assert value(found, "slo:sli_error:ratio_rate5m", **errors, sloth_window="5m") == pytest.approx(0.3)
    assert value(found, "slo:current_burn_rate:ratio", **errors) == pytest.approx(3)
    assert value(found, "slo:time_period:days", **errors) == 28
    assert value(found, "sloth_slo_info", **errors, sloth_spec="openslo/v1", sloth_objective="90") == 1
    whole = value(found, "slo:period_burn_rate:ratio", **errors)
    assert whole == pytest.approx(10 * 270 / (900 + 110))
    assert value(found, "slo:period_error_budget_remaining:ratio", **errors) == pytest.approx(1 - whole)


def test_no_label_names_a_request(store: Store):
    text = metrics_text(store, everything(store), NOW)
    assert b"r-00" not in text
    names = {name for series in samples(text).values() for labels, _ in series for name in labels}
    assert not names & {"request_id", "user_id", "tenant"}


def test_an_empty_store_has_metrics_too(store: Store):
    found = samples(metrics_text(store, wanted(), NOW))
    assert value(found, "tidegauge_lag_seconds") == 0
    assert "tidegauge_rate" in found


def expressions() -> list[tuple[str, str]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [(rule.get("record") or rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def test_rules_speak_of_series_that_there_are(store: Store):
    text = metrics_text(store, everything(store), NOW)
    known = set(samples(text)) | {name for name, _ in expressions()} | {"slo:sli_error:ratio_rate1d"}
    for name, expression in expressions():
        bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|ignoring) \([^)]*\)', " ", expression)
        used = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare)) - WORDS
        assert used, name
        assert used <= known, (name, used - known)


def test_rules_are_shaped_as_prometheus_wants_them():
    text = RULES.read_text(encoding="utf-8")
    groups = yaml.safe_load(text)["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert group.keys() <= {"name", "interval", "rules"}
        for rule in group["rules"]:
            alert = {"alert", "expr", "for", "labels", "annotations"}
            assert rule.keys() <= ({"record", "expr", "labels"} if "record" in rule else alert)
            assert rule["expr"].count("(") == rule["expr"].count(")")
            assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", rule.get("record") or rule["alert"])
            assert re.fullmatch(r"[1-9][0-9]*[smhd]", rule.get("for", "1m"))
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("page", "ticket")


def get(url: str, posted: bytes | None = None) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, posted, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_the_server_answers_while_the_job_runs(store: Store):
    objectives = everything(store)
    with MetricsServer(store, objectives, ManualClock(NOW), "127.0.0.1", 0).serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        status, kind, body = get(f"{url}/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert value(samples(body), "tidegauge_incidents", intent="refunds") == 1
        assert get(f"{url}/healthz") == (200, "application/json", b'{"status": "ok"}')
        status, _, body = get(f"{url}/verdict?intent=refunds")
        assert (status, json.loads(body)["phase"]) == (200, "failed")
        assert json.loads(get(f"{url}/verdict?intent=refunds&deployment={OLD.id}")[2])["phase"] == "successful"
        assert get(f"{url}/verdict")[0] == 400
        assert get(f"{url}/rollback?intent=refunds", b'{"name": "podinfo"}')[0] == 200
        assert get(f"{url}/rollback?intent=refunds&deployment={OLD.id}", b"{}")[0] == 409
        assert get(f"{url}/rollback", b"{}")[0] == 409
        assert get(f"{url}/elsewhere")[0] == 404
        with pytest.raises(UsageError, match="cannot listen"):
            MetricsServer(store, objectives, ManualClock(NOW), "127.0.0.1", server.port)


def test_a_verdict_of_an_intent_that_nobody_knows_is_a_404_that_names_the_nearest(store: Store):
    near_ones = {"refnds": "refunds", "shipping.staus": "shipping.status", "x": None, "refunds%00": "refunds"}
    server = MetricsServer(store, everything(store), ManualClock(NOW), "127.0.0.1", 0, ["shipping.status"])
    with server.serving():
        url = f"http://127.0.0.1:{server.port}"
        for asked, near in near_ones.items():
            status, kind, body = get(f"{url}/verdict?intent={asked}")
            assert (status, kind) == (404, "application/json")
            found = json.loads(body)
            assert found["did_you_mean"] == near
            assert "no request of it was read" in found["error"]
            assert "unseen=1" in found["error"]
            assert get(f"{url}/rollback?intent={asked}")[0] == 409
            status, _, body = get(f"{url}/verdict?intent={asked}&unseen=1")
            assert (status, json.loads(body)["phase"]) == (200, "inconclusive")
        for known in ("refunds", "shipping.status"):
            assert get(f"{url}/verdict?intent={known}")[0] == 200


def test_a_store_that_is_gone_is_a_503_that_tells_no_address():
    gone = Store("sqlite:////nowhere/at/all.db")
    server = MetricsServer(gone, wanted(Config()), ManualClock(NOW), "127.0.0.1", 0)
    status, _, body = server.reply("/healthz")
    assert status == 503
    assert b"nowhere" not in body
    server._server.server_close()
