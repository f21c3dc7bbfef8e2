"""Records as JSON lines: values, headers, and places of lines."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.kafka_lines import Index, members, whole_lines, with_members

VALUES = st.one_of(st.none(), st.binary(max_size=60), st.just(b'{"a":1}'), st.just(b'{"a":1}\n{"a":2}'))


def test_a_value_is_one_line_or_several() -> None:
    values = [b'{"a":1}', b'{"a":1}\n{"a":2}', b'{"a":1}\n{"a":2}\n', None, b""]
    assert whole_lines(values) == [b'{"a":1}\n', b'{"a":1}\n{"a":2}\n', b'{"a":1}\n{"a":2}\n', b"\n", b"\n"]


@given(st.lists(VALUES, max_size=20))
def test_lines_are_whole_and_nothing_is_added(values: list[bytes | None]) -> None:
    for value, lines in zip(values, whole_lines(values), strict=True):
        assert lines.endswith(b"\n")
        assert lines in ((value or b"") + b"\n", value)


def test_headers_fill_fields_that_the_record_lacks() -> None:
    before = members(
        [("tenant", b"acme"), ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("x", b"y")],
        {"tenant": "tenant", "trace_id": "traceparent", "feature": "feature"},
    )
    filled = with_members(b'{"a":1}\n {"tenant":"own"}\n{}\n', before)
    assert filled is not None
    found = [json.loads(line) for line in filled.splitlines()]
    assert with_members(None, before) is None
    trace = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert found == [
        {"tenant": "acme", "a": 1, **trace},
        {"tenant": "own", **trace},
        {"tenant": "acme", **trace},
    ]


def test_a_header_that_no_field_could_hold_is_left_out() -> None:
    wanted = {"tenant": "tenant"}
    for value in (b"\xff", b"x" * 257, b"a\0b", b"", None):
        assert members([("tenant", value)], wanted) == b""
    assert members(None, wanted) == b""
    assert json.loads(b"{" + members([("tenant", 'ü"'.encode())], wanted) + b"}") == {"tenant": 'ü"'}


@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=5), min_size=1, max_size=20), st.integers(1, 9))
def test_each_line_has_a_place_of_its_own(records: list[list[int]], step: int) -> None:
    index, starts, size = Index(), [], 0
    half = len(records) // 2
    for some in (range(half), range(half, len(records))):
        index.extend([7 + number * step for number in some], [bytes(sum(records[number])) for number in some])
    for number, lines in enumerate(records):
        for length in lines:
            starts.append((size, 7 + number * step))
            size += length
    places = [index.place(start) for start, _ in starts]
    assert places == sorted(set(places))
    assert [place >> 24 for place in places] == [offset for _, offset in starts]
