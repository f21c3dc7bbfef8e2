"""Rows, reviews and tickets as they are shown."""

import json

import pytest

from tests.service.sums import month, rows
from tests.service.world import NEW, NOW, OLD, decide_all, judge, label, request, table
from tidegauge import show
from tidegauge.cli import main
from tidegauge.domain import DAY
from tidegauge.service import health, tickets
from tidegauge.service.report import slo_rows, standing
from tidegauge.service.review import export_cases, parse_labels
from tidegauge.storage.store import Store


def test_slo_rows_have_the_public_fields(store: Store):
    good = [request(n, n * 0.1, OLD) for n in range(50)]
    judge(store, good)
    judge(store, [request(100 + n, 6 + n * 0.1, NEW) for n in range(10)])
    label(store, good[:2], True)
    label(store, good[2:], False)
    with store.read() as tx:
        rows = {row["deployment"]["id"]: row for row in slo_rows(tx, {})}
    old, new = rows[OLD.id], rows[NEW.id]
    fields = {"indicator", "intent", "deployment", "objective", "rate", "low", "high", "judged", "labelled"}
    fields |= {"log_e", "budget_used", "as_of", "state"}
    assert fields <= old.keys()
    assert old["deployment"] == {
        "id": OLD.id,
        "model_version": "m-0",
        "prompt_version": "p-1",
        "retrieval_index": "i-1",
    }
    assert old["rate"] == 0.04
    assert old["low"] < 0.04 < old["high"]
    assert (old["judged"], old["labelled"], old["state"]) == (50, 50, "ok")
    assert abs(old["budget_used"] - 0.04 / 0.03) < 1e-9
    assert (new["rate"], new["low"], new["high"], new["state"]) == (None, 0, 1, "unknown")
    json.dumps(list(rows.values()), allow_nan=False)


def test_what_lies_above_its_objective_without_proof_is_not_said_to_be_in_order(store: Store):
    requests = month(60, every=0.1)
    judge(store, requests)
    label(store, requests[:6], True)
    label(store, requests[6:], False)
    assert not any(decision.breach for decision in decide_all(store))
    (row,) = rows(store)
    assert row["low"] > row["objective"]
    assert row["state"] == "evidence_wanted"
    with store.read() as tx:
        assert tickets.ticket_rows(tx) == []


def test_an_empty_store_has_no_rows(store: Store):
    with store.read() as tx:
        assert slo_rows(tx, {}) == []


def test_cases_go_out_blind_and_labels_come_in(store: Store):
    judge(store, [request(1), request(2, intent="billing")])
    with store.read() as tx:
        cases = list(export_cases(tx))
    assert {c["request_id"] for c in cases} == {"r-00001", "r-00002"}
    assert cases[0]["question"] == "When?"
    assert cases[0]["response"] == "Soon."
    assert not {"score", "label", "f"} & cases[0].keys()


def test_bad_label_lines_are_reported_and_none_is_lost():
    lines = [
        b'{"request_id": "a", "hallucinated": true, "reviewer": "ann"}',
        b"",
        b"not json",
        b'{"request_id": "a", "reviewer": "ann"}',
        b'{"request_id": "a", "hallucinated": null, "reviewer": "ann", "note": "?\\u0000", "more": 1}',
        b'{"request_id": " ", "hallucinated": false, "reviewer": "ann"}',
        b'{"request_id": "a", "hallucinated": 1, "reviewer": "ann"}',
        b'\xff{"request_id"',
        b'{"request_id": "a\\u0000", "hallucinated": true, "reviewer": "ann"}',
    ]
    found = parse_labels(lines)
    assert [label.hallucinated for label in found.labels] == [True, None]
    assert [bad.line for bad in found.bad] == [3, 4, 6, 7, 8, 9]
    assert found.labels[1].note == "?\N{REPLACEMENT CHARACTER}"


def test_the_table_says_which_deployments_are_live_and_which_is_the_newest(store: Store):
    judge(store, [request(1, 0, OLD), request(2, 20, NEW), request(3, 30, OLD), request(4, 0, NEW, intent="other")])
    with store.read() as tx:
        found = show.slo_table(slo_rows(tx, {"*": 0.03}), standing(tx)).splitlines()
    said = {tuple(row.split()[:2]): row for row in found[1:]}
    assert "live, newest" in said["refunds", NEW.id]
    assert "live  " in said["refunds", OLD.id]
    assert "newest" not in said["refunds", OLD.id]
    assert "gone, newest" in said["other", NEW.id]


def test_tickets_name_the_parts_of_a_deployment(store: Store, capsys: pytest.CaptureFixture[str]):
    judge(store, [request(1, 0, NEW)])
    with store.write() as tx:
        subject = {"intent": "refunds", "deployment": NEW.id, "episode": 0}
        tickets.open_ticket(tx, kind="evidence_wanted", subject=subject, owner="o", evidence={}, now=NOW)
        gone = {"intent": "refunds", "deployment": "0a1b2c3d4e5f"}
        tickets.open_ticket(tx, kind="mix_shift", subject=gone, owner="o", evidence={}, now=NOW)
    assert main(["--store", store.url, "tickets"]) == 0
    said = capsys.readouterr().out
    assert f"refunds, deployment {NEW.id} (m-1 / p-1 / i-1), episode 0" in said
    assert "deployment 0a1b2c3d4e5f" in said


def test_reviews_that_never_come_back_are_a_ticket(store: Store):
    requests = [request(n, n * 0.1) for n in range(40)]
    judge(store, requests)
    with store.write() as tx:
        health.check(tx, lambda intent: "payments", str, NOW + 10 * DAY)
    assert {(t["kind"], t["owner"], t["state"]) for t in table(store, "tickets")} == {
        ("reviews_unreturned", "payments", "open")
    }
    label(store, requests, False)
    with store.write() as tx:
        health.check(tx, lambda intent: "payments", str, NOW + 10 * DAY)
    assert {t["state"] for t in table(store, "tickets")} == {"closed"}


@pytest.mark.parametrize(("goes_on", "state"), [(27, "open"), (40, "closed")])
@pytest.mark.parametrize("intent", ["refunds", "invoices"])
def test_an_old_bad_month_keeps_no_ticket_open(store: Store, goes_on: int, state: str, intent: str):
    """Whether the intent itself has traffic since, all of whose reviews come back, or another one."""
    judge(store, [request(n, n * 0.1) for n in range(40)])
    with store.write() as tx:
        health.check(tx, lambda intent: "payments", str, NOW + 10 * DAY)
    later = [request(100 + n, 24 * goes_on + n * 0.1, intent=intent) for n in range(40)]
    judge(store, later)
    label(store, later, False)
    with store.write() as tx:
        health.check(tx, lambda intent: "payments", str, NOW + 90 * DAY)
    found = {t["subject"]: t["state"] for t in table(store, "tickets") if t["kind"] == "reviews_unreturned"}
    assert found == {'{"intent": "refunds"}': state}


def test_low_coverage_is_a_ticket(store: Store):
    judge(store, [request(n, n * 0.1) for n in range(40)], bins=[8] * 10 + [0] * 30)
    judge(store, [request(100, 40)])
    with store.write() as tx:
        health.check(tx, lambda intent: "platform", str, NOW)
    assert [(t["kind"], json.loads(t["evidence"])) for t in table(store, "tickets")] == [
        ("coverage_low", {"judged": 30, "sampled": 40})
    ]


def test_low_coverage_of_an_intent_that_is_no_more_closes_when_its_last_block_leaves_the_window(store: Store):
    judge(store, [request(n, n * 0.1) for n in range(40)], bins=[8] * 10 + [0] * 30)
    for n, (hours, state) in enumerate([(40, "open"), (24 * 6, "open"), (24 * 9, "closed")]):
        judge(store, [request(100 + n, hours, intent="other")])
        with store.write() as tx:
            health.check(tx, lambda intent: "platform", str, NOW)
        assert [t["state"] for t in table(store, "tickets") if t["kind"] == "coverage_low"] == [state]
