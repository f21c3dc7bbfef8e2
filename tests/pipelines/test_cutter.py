import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pipelines.cutter import HEAD_BYTES, Lines, LongLine, cut

LIMIT = 40

logs = st.lists(st.binary(max_size=90).map(lambda b: b.replace(b"\n", b".")), max_size=30).map(b"\n".join)


def reads_of(data: bytes, sizes: list[int]) -> list[bytes]:
    reads, start = [], 0
    while start < len(data):
        size = sizes[len(reads) % len(sizes)]
        reads.append(data[start : start + size])
        start += size
    return reads


@given(logs, st.lists(st.integers(1, LIMIT), min_size=1, max_size=5))
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, sizes: list[int]) -> None:
    found: dict[int, bytes | str] = {}
    for piece in cut(reads_of(data, sizes), max_line=LIMIT):
        if isinstance(piece, LongLine):
            found[piece.start] = piece.sha256
            continue
        assert isinstance(piece, Lines)
        assert data[piece.start : piece.start + len(piece.data)] == piece.data
        offset = piece.start
        for line in piece.data.removesuffix(b"\n").split(b"\n"):
            found[offset] = line
            offset += len(line) + 1
    expected: dict[int, bytes | str] = {}
    offset = 0
    for line in data.removesuffix(b"\n").split(b"\n") if data else []:
        expected[offset] = hashlib.sha256(line).hexdigest() if len(line) > LIMIT else line
        offset += len(line) + 1
    assert found == expected


def test_a_long_line_is_kept_by_its_head_and_hash() -> None:
    line = b"x" * (3 * HEAD_BYTES)
    pieces = list(cut([line[:1000], line[1000:] + b"\nshort\n"], max_line=2 * HEAD_BYTES))
    assert isinstance(pieces[0], LongLine)
    assert pieces[0].length == len(line)
    assert pieces[0].head == line[:HEAD_BYTES]
    assert pieces[0].sha256 == hashlib.sha256(line).hexdigest()
    assert pieces[1] == Lines(len(line) + 1, b"short\n")
