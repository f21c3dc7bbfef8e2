"""Gold: cases with known labels, apart from samples, rollups, status and sums. They measure judges and rubrics."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from evaluators.cascade import content_of
from tidegauge.domain import HALLUCINATION, Context, Deployment, Micros, Request
from tidegauge.errors import UsageError
from tidegauge.service.review import BadLine
from tidegauge.storage.store import Row, Transaction

CONFIRMATIONS = 2
"""Reviewers who must agree, with nobody against it."""

_NOWHERE = Deployment(model_version="", prompt_version="", retrieval_index="")
_decode = msgspec.json.Decoder(Request).decode


class _Text(msgspec.Struct):
    text: str


class GoldLine(msgspec.Struct):
    """A label for a stored sample, by `request_id`, or for the case that the line itself brings."""

    hallucinated: bool
    reviewer: str
    request_id: str | None = None
    response: str | None = None
    question: str | None = None
    contexts: list[str | _Text] = []
    intent: str = ""
    note: str = ""


class _FileLine(GoldLine, kw_only=True):
    reviewer: str = ""
    id: str | int | None = None


class GoldReport(msgspec.Struct, kw_only=True):
    """What became of each line: added + labelled + changed + doubled + unknown + bad = lines."""

    added: int = 0
    """First labels of new cases."""
    labelled: int = 0
    """Further reviewers' labels."""
    changed: int = 0
    """A reviewer takes back an earlier word."""
    doubled: int = 0
    unknown: int = 0
    bad: list[BadLine] = []
    unknown_ids: list[str] = []


class GoldCase(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    request: Request
    reviewers: dict[str, bool]

    @property
    def state(self) -> Literal["confirmed", "contested", "waiting"]:
        said = set(self.reviewers.values())
        if len(said) > 1:
            return "contested"
        return "confirmed" if len(self.reviewers) >= CONFIRMATIONS else "waiting"

    @property
    def hallucinated(self) -> bool | None:
        """The known label; None while it is not confirmed."""
        return next(iter(self.reviewers.values())) if self.state == "confirmed" else None


def add(tx: Transaction, lines: Iterable[bytes | str], now: Micros) -> GoldReport:
    """Adds labels, and the cases that are new. Blank lines are no lines."""
    report = GoldReport(bad=[], unknown_ids=[])
    read = _read(lines, report)
    samples = {
        row["request_id"]: row
        for row in tx.rows_in("sample_payloads", "ids", sorted({r.request_id for r in read if r.request_id}))
    }
    known = {(row["gold"], row["reviewer"]): bool(row["value"]) for row in tx.rows("gold_labels")}
    cases = {gold for gold, _ in known}
    for line in read:
        found = _case(line, samples, now)
        if found is None:
            report.unknown += 1
            report.unknown_ids.append(str(line.request_id))
            continue
        gold = found["gold"]
        before = known.get((gold, line.reviewer))
        if before == line.hallucinated:
            report.doubled += 1
            continue
        if before is not None:
            report.changed += 1
        elif gold in cases:
            report.labelled += 1
        else:
            report.added += 1
        cases.add(gold)
        known[gold, line.reviewer] = line.hallucinated
        tx.run("insert_gold_case", **found)
        tx.run(
            "keep_gold_label",
            gold=gold,
            reviewer=line.reviewer,
            value=int(line.hallucinated),
            note=line.note,
            made_at=now,
        )
    return report


def cases(tx: Transaction) -> list[GoldCase]:
    """All cases, in the order in which they came."""
    said: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in tx.rows("gold_labels"):
        said[row["gold"]][row["reviewer"]] = bool(row["value"])
    return [
        GoldCase(id=row["gold"], request=_decode(bytes(row["payload"])), reviewers=said[row["gold"]])
        for row in tx.rows("gold_cases", indicator=HALLUCINATION)
    ]


def from_lines(lines: Iterable[bytes | str]) -> list[tuple[Request, bool]]:
    """Cases of a file: {id?, question?, contexts?, response, hallucinated} a line. Raises UsageError with the line."""
    decode = msgspec.json.Decoder(_FileLine).decode
    found: list[tuple[Request, bool]] = []
    named: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(f"gold, line {number}: {error}") from None
        name = str(read.id if read.id is not None else number)
        if not read.response:
            raise UsageError(f"gold, line {number}: there is no response")
        if named.setdefault(name, number) != number:
            raise UsageError(f"gold, line {number}: the id {name} is that of line {named[name]} too")
        found.append((request_of(read, name), read.hallucinated))
    return found


def request_of(line: GoldLine, name: str) -> Request:
    """The request of a line that brings its own case."""
    return Request(
        request_id=name,
        timestamp=0,
        intent=line.intent,
        deployment=_NOWHERE,
        question=line.question,
        contexts=tuple(Context(text=c if isinstance(c, str) else c.text) for c in line.contexts),
        response=line.response,
    )


def _read(lines: Iterable[bytes | str], report: GoldReport) -> list[GoldLine]:
    decode = msgspec.json.Decoder(GoldLine).decode
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            report.bad.append(BadLine(number, str(error)))
            continue
        problem = _wrong(read)
        if problem:
            report.bad.append(BadLine(number, problem))
        else:
            found.append(read)
    return found


def _wrong(line: GoldLine) -> str:
    if not line.reviewer.strip() or "\0" in line.reviewer + (line.request_id or ""):
        return "reviewer is empty, or a name has a NUL character"
    return "" if line.request_id or line.response else "neither request_id nor response"


def _case(line: GoldLine, samples: dict[str, Row], now: Micros) -> dict[str, Any] | None:
    """The row of a line's case; None where it names a sample that is not there."""
    if line.request_id and line.response is None:
        sample = samples.get(line.request_id)
        if sample is None:
            return None
        gold, intent, payload = line.request_id, sample["intent"], bytes(sample["payload"])
    else:
        gold = line.request_id or "gold-" + content_of(request_of(line, ""))
        intent, payload = line.intent, msgspec.json.encode(request_of(line, gold))
    return {"gold": gold, "indicator": HALLUCINATION, "intent": intent, "payload": payload, "created_at": now}


def rows(found: Sequence[GoldCase]) -> list[dict[str, Any]]:
    """As `tidegauge gold list --json` prints them."""
    return [
        {
            "id": case.id,
            "intent": case.request.intent,
            "state": case.state,
            "hallucinated": case.hallucinated,
            "reviewers": case.reviewers,
            "question": case.request.asked,
            "response": case.request.response,
        }
        for case in found
    ]
