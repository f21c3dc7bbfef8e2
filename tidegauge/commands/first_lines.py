"""Whether there is a log, and its first lines fit, before a job reads it."""

import os
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tidegauge.config_sources import SourceSection
from tidegauge.errors import UsageError

TRIED = 100
LONGEST = 8 << 20


class Tried(NamedTuple):
    """Of a file: how many of its first lines fit, and why the others do not, by how often."""

    path: str
    lines: int
    fit: int
    reasons: list[tuple[str, int]]


def folder(pattern: str) -> str:
    """What is wrong with a glob that is a folder, which never matches a file; empty for any other."""
    if "://" in pattern or not os.path.isdir(pattern):
        return ""
    return f"{pattern} is a folder; write '{pattern.rstrip('/')}/*.jsonl'"


def refuse_folders(logs: Sequence[str] | None) -> None:
    """Raises UsageError for a `--log` that is a folder."""
    for problem in filter(None, map(folder, logs or ())):
        raise UsageError(f"--log: {problem}")


def no_file(source: SourceSection) -> str:
    """Why a source names no file of this machine; empty where it does, and where that is not known here."""
    if source.files is None or source.is_remote or any(_matching(source)):
        return ""
    return folder(source.files) or f"{source.files} matches no file yet"


def unreadable(source: SourceSection) -> dict[str, str]:
    """Files of a source that cannot be read, and why."""
    paths, found = _matching(source)
    for path in paths:
        try:
            Path(path).open("rb").close()
        except OSError as error:
            found[path] = error.strerror or str(error)
    return found


def tried(source: SourceSection, but: Container[str] = ()) -> Tried | None:
    """Reads the newest file of a source that has lines, but for some; None where there is none."""
    from pipelines.sources.archives import PARQUET

    paths = [path for path in _matching(source)[0] if path not in but and not path.endswith(PARQUET)]
    if not paths:
        return None
    newest = max(paths, key=lambda path: Path(path).stat().st_mtime)
    lines = list(_lines(newest))
    reasons = Counter(filter(None, map(_problem, lines)))
    return Tried(newest, len(lines), len(lines) - reasons.total(), reasons.most_common())


def _matching(source: SourceSection) -> tuple[list[str], dict[str, str]]:
    """The files of this machine that a source names; and why not others."""
    from pipelines.sources import files

    return ([], {}) if source.files is None or source.is_remote else files.matching(source.files)


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
