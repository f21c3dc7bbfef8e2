"""`tidegauge evaluate`: a line per id and evaluator, whatever the file holds."""

import gzip
import json
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.files import evaluate_file
from evaluators.quality import auroc, balanced_accuracy, kappa
from tests.evaluators.requests import REFUNDS, cascade_of, settings_of
from tidegauge.errors import UsageError
from tidegauge.testing.judge_server import JudgeServer

OFFLINE = cascade_of(("rules", "overlap"))
ROWS: list[dict[str, Any]] = [
    {"id": "a", "response": "Refunds are paid within 14 days.", "contexts": [REFUNDS], "bad": False},
    {"id": 2, "response": "Zebras dance in Timbuktu.", "contexts": [{"text": REFUNDS, "id": "c"}], "bad": "1"},
    {"id": "c", "response": "I don't know.", "contexts": [REFUNDS], "bad": None},
    {"id": "d", "response": "Closed book.", "question": "Why?", "bad": True},
]


def write(path: Path, *lines: object) -> Path:
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_per_id_and_evaluator_in_the_order_of_the_input(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = evaluate_file(write(tmp_path / "in.jsonl", *ROWS), out, OFFLINE)
    rows = read(out)
    assert [(r["id"], r["evaluator"]) for r in rows] == [(r["id"], e) for r in ROWS for e in ("rules", "overlap")]
    assert set(rows[0]) == {"id", "score", "label", "confidence", "reason", "evaluator", "version"}
    assert (report.summary["lines"], report.summary["evaluated"], report.summary["bad"], report.summary["quality"]) == (
        4,
        4,
        0,
        {},
    )


def test_bad_lines_are_counted_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    bad = [b"{", b"[]", b'{"id": 1}', b'{"response": "x"}', b"\xff", b'{"id": 1, "response": "x", "contexts": [1]}']
    source = write(tmp_path / "in.jsonl", ROWS[0], *bad, b"", b"   ", ROWS[1])
    out = tmp_path / "out.jsonl"
    report = evaluate_file(source, out, OFFLINE)
    assert (report.summary["lines"], report.summary["evaluated"], report.summary["bad"]) == (8, 2, 6)
    assert [p["line"] for p in report.summary["problems"]] == [2, 3, 4, 5, 6, 7]
    assert [r["id"] for r in read(out)] == ["a", "a", 2, 2]


def test_a_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *ROWS)
    source.write_bytes(BOM_UTF8 + source.read_bytes())
    report = evaluate_file(source, tmp_path / "out.jsonl", OFFLINE)
    assert (report.summary["lines"], report.summary["bad"]) == (4, 0)


def test_a_line_of_a_request_log_is_read(tmp_path: Path) -> None:
    record = {"request_id": "r-1", "timestamp": "2026-11-01T00:00:00Z", "intent": "refunds", "response": "Ten days."}
    record |= {"contexts": [{"id": "c", "text": REFUNDS, "score": 0.5}], "messages": [{"role": "user", "content": "?"}]}
    out = tmp_path / "out.jsonl"
    report = evaluate_file(write(tmp_path / "in.jsonl", record, record | {"id": 7}), out, OFFLINE)
    assert report.summary["bad"] == 0
    assert [r["id"] for r in read(out)] == ["r-1", "r-1", 7, 7]


def test_labels_give_the_quality_of_each_evaluator(tmp_path: Path) -> None:
    report = evaluate_file(write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out", OFFLINE, "bad")
    perfect = {"labelled": 3, "scored": 2, "auroc": 1.0, "balanced_accuracy": 1.0, "f1": 1.0, "kappa": 1.0}
    assert perfect.items() <= report.summary["quality"]["overlap"].items()
    assert report.summary["quality"]["rules"]["scored"] == 0
    assert report.summary["quality"]["rules"]["auroc"] is None


def test_the_judge_answers_out_of_order_and_the_output_keeps_it(tmp_path: Path) -> None:
    rows = [{"id": n, "response": f"Answer {n}.", "contexts": [REFUNDS]} for n in range(40)]
    out = tmp_path / "out.jsonl"
    with JudgeServer(latency=lambda r: 0.05 * (len(r.record["response"]) % 3)) as server:
        cascade = cascade_of(("rules", "overlap", "judge"), settings_of(server))
        evaluate_file(write(tmp_path / "in.jsonl", *rows), out, cascade)
    assert [r["id"] for r in read(out)] == [n for n in range(40) for _ in range(3)]


def test_labels_that_no_line_has_are_a_usage_error(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *ROWS)
    with pytest.raises(UsageError, match="did you mean bad"):
        evaluate_file(source, tmp_path / "out", OFFLINE, "bda")


def test_compressed_input_is_read(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl.gz"
    source.write_bytes(gzip.compress(json.dumps(ROWS[0]).encode()))
    assert evaluate_file(source, tmp_path / "out", OFFLINE).summary["evaluated"] == 1


def test_files_that_cannot_be_used_are_usage_errors(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", ROWS[0])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"x" * 1000)[:20])
    for given_source, out in [
        (tmp_path / "none", tmp_path / "out"),
        (source, source),
        (source, tmp_path / "no" / "out"),
        (cut, tmp_path / "out"),
    ]:
        with pytest.raises(UsageError):
            evaluate_file(given_source, out, OFFLINE)
    assert source.read_bytes()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, truth = [float(s) for s, _ in rows], [t for _, t in rows]
    pairs = [(p, n) for p, t in rows for n, u in rows if t and not u]
    wins = sum((p > n) + 0.5 * (p == n) for p, n in pairs)
    assert auroc(scores, truth) == (pytest.approx(wins / len(pairs)) if pairs else None)


def test_quality_without_both_kinds_is_unknown() -> None:
    assert balanced_accuracy([True], [True]) is None
    assert kappa([True, True], [True, True]) is None
    assert kappa([], []) is None
    assert kappa([True, False], [True, False]) == 1
