"""Every kind of bad line has a decided outcome."""

import contextlib
import hashlib
import json
from codecs import BOM_UTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cutter import READ_BYTES
from pipelines.records import InvalidRecord, Reason, decode_request, read_line
from pipelines.sampling import Sampler
from pipelines.scan import Scanner
from tests.support.logs import NOON, line, record
from tidegauge.domain import Context
from tidegauge.prices import Prices
from tidegauge.storage.commits import BlockResult
from tidegauge.storage.sampling import BEGINNING, Plan


def everything(rate: float = 1.0) -> Sampler:
    plan = Plan(
        plan=1, valid_from=BEGINNING, rate=rate, intent="", deployment="", key_fingerprint="", reason="", created_at=0
    )
    return Sampler([plan], b"key")


def scan(data: bytes, rate: float = 1.0, oldest_days: float | None = None) -> BlockResult:
    reads = [data[start : start + READ_BYTES] for start in range(0, len(data), READ_BYTES)]
    return Scanner(Prices(()), oldest_days).scan(reads, NOON, everything(rate))


def with_raw(name: str, value: bytes) -> bytes:
    return line()[:-1] + b', "' + name.encode() + b'": ' + value + b"}"


BAD = {
    "wrong type of a name": (line(intent=5), Reason.WRONG_TYPE),
    "wrong type of a text": (line(response=["a"]), Reason.WRONG_TYPE),
    "number as text": (line(latency_ms="12"), Reason.WRONG_TYPE),
    "fraction of a token": (line(input_tokens=1.5), Reason.WRONG_TYPE),
    "contexts no list": (line(contexts="none"), Reason.WRONG_TYPE),
    "context without text": (line(contexts=[{"id": "a"}]), Reason.MISSING_FIELD),
    "context no object": (line(contexts=[7]), Reason.WRONG_TYPE),
    "no id": (line(request_id=None), Reason.WRONG_TYPE),
    "lacks intent": (json.dumps({k: v for k, v in record().items() if k != "intent"}).encode(), Reason.MISSING_FIELD),
    "lacks response": (line(response=None), Reason.MISSING_RESPONSE),
    "not UTF-8": (line().replace(b"refunds.policy", b"refunds.\xff"), Reason.INVALID_UTF8),
    "not UTF-8 in a context": (
        line(contexts=[{"id": "a", "text": "XX"}]).replace(b"XX", b"\xc3\x28"),
        Reason.INVALID_UTF8,
    ),
    "lone surrogate": (line(response="XX").replace(b"XX", b"\\ud800"), Reason.MALFORMED_JSON),
    "NaN": (with_raw("latency_ms", b"NaN"), Reason.MALFORMED_JSON),
    "infinity by word": (with_raw("latency_ms", b"Infinity"), Reason.MALFORMED_JSON),
    "infinity by size": (with_raw("latency_ms", b"1e999"), Reason.OUT_OF_RANGE),
    "negative tokens": (line(input_tokens=-5), Reason.OUT_OF_RANGE),
    "negative cost": (line(cost_usd=-0.01), Reason.OUT_OF_RANGE),
    "a cost of which a million overflow": (line(cost_usd=1e5), Reason.OUT_OF_RANGE),
    "huge tokens": (line(input_tokens=10**30), Reason.OUT_OF_RANGE),
    "unknown status": (line(status="great"), Reason.OUT_OF_RANGE),
    "empty id": (line(request_id=""), Reason.OUT_OF_RANGE),
    "overlong name": (line(tenant="t" * 300), Reason.OUT_OF_RANGE),
    "NUL in a name": (line(tenant="a\0b"), Reason.NUL_CHARACTER),
    "NUL in the id": (line(request_id="a\0b"), Reason.NUL_CHARACTER),
    "raw NUL": (line().replace(b"refunds", b"ref\0nds"), Reason.MALFORMED_JSON),
    "deep nesting": (with_raw("extra", b"[" * 5000 + b"]" * 5000), Reason.TOO_DEEP),
    "no zone": (line(timestamp="2026-11-01T12:00:00"), Reason.INVALID_TIMESTAMP),
    "no time": (line(timestamp="yesterday"), Reason.INVALID_TIMESTAMP),
    "hour 25": (line(timestamp="2026-11-01T25:00:00Z"), Reason.INVALID_TIMESTAMP),
    "far future": (line(timestamp="2026-11-01T12:05:00.001Z"), Reason.TIMESTAMP_TOO_NEW),
    "cut off": (line()[:-10], Reason.MALFORMED_JSON),
    "two on a line": (line() + line(), Reason.MALFORMED_JSON),
    "a list": (b"[]", Reason.NOT_AN_OBJECT),
    "null": (b"null", Reason.NOT_AN_OBJECT),
    "words": (b"hello", Reason.MALFORMED_JSON),
    "byte order mark after a space": (b" " + BOM_UTF8 + line(), Reason.MALFORMED_JSON),
    "too long": (line(response="x" * (8 << 20)), Reason.LINE_TOO_LONG),
}

GOOD = {
    "doubled key": (with_raw("intent", b'"last.wins"'), lambda r: r.intent == "last.wins"),
    "NUL in a text": (line(response="a\0b"), lambda r: r.response == "a\0b"),
    "unknown field": (line(shard=7), lambda r: r.extra == {"shard": 7}),
    "null is absent": (line(status=None, contexts=None), lambda r: r.status == "ok" and r.contexts == ()),
    "a text as a context": (
        line(contexts=["as it is", {"id": "a", "text": "with an id"}]),
        lambda r: r.contexts == (Context(text="as it is"), Context(id="a", text="with an id")),
    ),
    "five minutes ahead": (line(timestamp="2026-11-01T12:05:00Z"), lambda r: r.timestamp == NOON + 300_000_000),
    "other zone": (line(timestamp="2026-11-01T13:00:00+01:00"), lambda r: r.timestamp == NOON),
    "long ago": (line(timestamp="1969-01-01T00:00:00Z"), lambda r: r.timestamp < 0),
    "before the year 1, and nobody says what it cost": (
        line(timestamp="0001-01-01T00:00:00+14:00", cost_usd=None),
        lambda r: r.timestamp < 0,
    ),
    "carriage return": (line() + b"\r", lambda r: r.request_id == "r-1"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("among", [b"", line(request_id="other") + b"\n"])
def test_a_bad_line_is_quarantined_with_its_reason(case: str, among: bytes) -> None:
    bad, reason = BAD[case]
    result = scan(among + bad + b"\n" + among)
    assert [q.reason for q in result.quarantined] == [reason]
    assert result.quarantined[0].start == len(among)
    assert result.quarantined[0].length == len(bad)
    good = 2 if among else 0
    assert result.records == good + 1
    assert sum(result.rollup.plans.values()) == good


@pytest.mark.parametrize("case", GOOD)
def test_what_is_odd_but_allowed_is_kept(case: str) -> None:
    good, check = GOOD[case]
    result = scan(good + b"\n")
    assert not result.quarantined
    assert check(result.samples[0].request)


def test_errors_count_but_are_never_sampled() -> None:
    result = scan(line(status="error", response=None) + b"\n" + line(request_id="r-2") + b"\n")
    assert not result.quarantined
    assert [s.request.request_id for s in result.samples] == ["r-2"]
    assert sum(row[3] for row in result.rollup.five_minutes) == 1


def test_blank_lines_are_no_records() -> None:
    result = scan(b"\n  \t\r\n" + line() + b"\n\n")
    assert (result.records, result.blanks, len(result.quarantined)) == (1, 3, 0)


def test_old_records_are_refused_only_when_asked() -> None:
    old = line(timestamp="2026-10-01T00:00:00Z") + b"\n"
    assert not scan(old).quarantined
    assert [q.reason for q in scan(old, oldest_days=30).quarantined] == [Reason.TIMESTAMP_TOO_OLD]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_have_a_reason(data: bytes) -> None:
    with contextlib.suppress(InvalidRecord):  # anything else is a crash
        decode_request(data, read_line(data))


@given(st.lists(st.sampled_from([b for b, _ in BAD.values() if len(b) < 2000] + [g for g, _ in GOOD.values()])))
def test_every_line_is_counted_once(lines: list[bytes]) -> None:
    result = scan(b"\n".join(lines))
    blank = sum(not part.strip() for entry in lines for part in entry.split(b"\n"))
    assert result.records == len(lines) - blank
    assert result.records == len(result.quarantined) + sum(result.rollup.plans.values())


def test_a_byte_order_mark_loses_no_line() -> None:
    rows = [line(request_id=f"r-{n}", contexts=["Ten days."], region="eu") for n in range(3)]
    marked = BOM_UTF8 + rows[0]
    for second in (rows[1], BOM_UTF8 + rows[1], b"no json"):
        found = scan(b"\n".join((marked, second, rows[2])))
        assert len(found.quarantined) == (second == b"no json")
        assert found.samples[0].sha256 == hashlib.sha256(marked).hexdigest()
        assert found.samples[0].request == scan(rows[0]).samples[0].request
