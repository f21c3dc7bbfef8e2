"""Whether the first lines of a log fit, before a job reads it."""

import glob
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tidegauge.config_sources import SourceSection

TRIED = 100
LONGEST = 8 << 20


class Tried(NamedTuple):
    """Of a file: how many of its first lines fit, and why the others do not, by how often."""

    path: str
    lines: int
    fit: int
    reasons: list[tuple[str, int]]


def tried(source: SourceSection) -> Tried | None:
    """Reads the newest file of a source that has lines; None where there is none."""
    if source.files is None or source.is_remote:
        return None
    from pipelines.sources.archives import PARQUET

    paths = [p for p in glob.glob(source.files, recursive=True) if Path(p).is_file() and not p.endswith(PARQUET)]
    if not paths:
        return None
    newest = max(paths, key=lambda path: Path(path).stat().st_mtime)
    lines = list(_lines(newest))
    reasons = Counter(filter(None, map(_problem, lines)))
    return Tried(newest, len(lines), len(lines) - reasons.total(), reasons.most_common())


def _lines(path: str) -> Iterator[bytes]:
    from pipelines.sources.archives import DAMAGED, is_compressed, open_compressed

    try:
        with open_compressed(path) if is_compressed(path) else Path(path).open("rb") as log:
            for line in islice(iter(lambda: log.readline(LONGEST), b""), TRIED):
                if line.strip() and line.endswith(b"\n"):  # a last line may still be being written
                    yield line
    except (OSError, EOFError, *DAMAGED):
        return  # what cannot be read is for the job to tell


def _problem(line: bytes) -> str:
    """Why a line does not fit, whole, as a sampled one must; empty where it does."""
    from pipelines.records import InvalidRecord, Reason, decode_request, lacks_response, read_line

    try:
        record = read_line(line)
        decode_request(line, record)
    except InvalidRecord as error:
        return f"{error.reason.value}: {error.detail}"
    return f"{Reason.MISSING_RESPONSE.value}: status ok needs a response" if lacks_response(record) else ""
