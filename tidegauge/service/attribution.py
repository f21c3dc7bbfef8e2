"""Why an intent is bad: which part of the deployment, against which last good one, since when, and where."""

from collections.abc import Sequence

from tidegauge.domain import HALLUCINATION, TEST_BLOCK, Micros, Value, iso
from tidegauge.service import findings
from tidegauge.service.findings import Record, Release
from tidegauge.slo.attribution import CERTAIN, PARTS, Explanation, Findings, concentrated
from tidegauge.slo.attribution import attribute as weigh
from tidegauge.slo.rates import Estimate
from tidegauge.storage.store import Transaction

NAMES = {"model_version": "model", "prompt_version": "prompt", "retrieval_index": "index"}

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SHOWN = 3


class Candidate(Value, frozen=True, kw_only=True):
    """One explanation that was weighed. `kind`: `release`, `moment` or `drift`; `gain` in nats over no change."""

    parts: tuple[str, ...]
    kind: str
    probability: float
    gain: float


class Concentrated(Value, frozen=True, kw_only=True):
    """A segment that rose more than the rest; `p` is Holm's, over all segments of all dimensions."""

    dimension: str
    value: str
    p: float
    share_of_findings: float
    share_of_traffic: float


class Moved(Value, frozen=True, kw_only=True):
    """A segment whose share of the traffic changed."""

    dimension: str
    value: str
    before: float
    after: float


class Mix(Value, frozen=True, kw_only=True):
    """`raw` is the rate as it is; `fixed_mix` what it would be had the traffic kept the mix from before."""

    raw: float | None
    low: float
    high: float
    before: float | None
    fixed_mix: float | None
    factor: float
    """By how much the change of mix alone multiplies the rate."""
    moved: tuple[Moved, ...]


class Attribution(Value, frozen=True, kw_only=True):
    """What the labelled history of an intent says of one deployment. Times are RFC 3339, in event time."""

    indicator: str
    intent: str
    deployment: dict[str, str]
    part: str | None
    """`prompt_version`, `model_version` or `retrieval_index`; None where the history does not tell."""
    value: str | None
    identified: bool
    changed: bool
    said: str
    against: dict[str, str] | None
    """The last good deployment: the newest one before the change, on its good side."""
    since: str | None
    since_low: str | None
    since_high: str | None
    releases_ago: int | None
    concentrated: tuple[Concentrated, ...]
    mix: Mix
    mix_only: bool
    candidates: tuple[Candidate, ...]
    positives: int


def attribute(tx: Transaction, intent: str, deployment: str, indicator: str = HALLUCINATION) -> Attribution:
    """Attributes the rate of one deployment (its id) of an intent. Never raises for want of data: it says so."""
    record = findings.read(tx, indicator, intent, deployment)
    if record is None:
        return _nothing(indicator, intent, deployment)
    suspect = next(n for n, release in enumerate(record.releases) if release.id == deployment)
    found = weigh(record.history(), suspect)
    before, after = findings.rates(tx, indicator, intent, record, found.bad)
    breached = {row["deployment"] for row in tx.rows("breached_deployments", intent=intent)}
    return _Told(record, suspect, found, (before, after), breached).told(indicator, intent)


def _nothing(indicator: str, intent: str, deployment: str) -> Attribution:
    return Attribution(
        indicator=indicator,
        intent=intent,
        deployment={"id": deployment, **dict.fromkeys(PARTS, "")},
        part=None,
        value=None,
        identified=False,
        changed=False,
        said="Cannot tell: nothing of this intent was routed to review yet.",
        against=None,
        since=None,
        since_low=None,
        since_high=None,
        releases_ago=None,
        concentrated=(),
        mix=Mix(raw=None, low=0.0, high=1.0, before=None, fixed_mix=None, factor=1.0, moved=()),
        mix_only=False,
        candidates=(),
        positives=0,
    )


class _Told:
    """Puts findings into words and fields."""

    def __init__(
        self, record: Record, suspect: int, found: Findings, rates: tuple[Estimate, Estimate], breached: set[str]
    ) -> None:
        self.record, self.found = record, found
        self.before, self.after = rates
        self.suspect = record.releases[suspect]
        self.best = found.best
        released = found.changed and self.best is not None and self.best.kind == "release"
        self.having = sorted(self.best.having) if released and self.best else []
        self.introduced = record.releases[self.having[0]] if self.having else None
        bad = breached | {record.releases[n].id for n in self.having}
        self.earlier = [release for release in record.releases[:suspect] if release.id not in bad]
        self.later = len(record.releases[self.having[0] + 1 : suspect + 1]) if self.having else None

    def told(self, indicator: str, intent: str) -> Attribution:
        found, part = self.found, self.found.part
        low, since, high = self._since()
        return Attribution(
            indicator=indicator,
            intent=intent,
            deployment=_fields(self.suspect),
            part=part,
            value=self._value(part) if part else None,
            identified=part is not None,
            changed=found.changed,
            said=self._said(),
            against=_fields(self.earlier[-1]) if self.earlier else None,
            since=_shown(since),
            since_low=_shown(low),
            since_high=_shown(high),
            releases_ago=self.later,
            concentrated=self._concentrated(),
            mix=self._mix(),
            mix_only=found.mix_only,
            candidates=tuple(
                Candidate(parts=e.parts, kind=e.kind, probability=e.probability, gain=e.gain)
                for e in found.explanations
            ),
            positives=self.record.positives,
        )

    def _value(self, part: str) -> str:
        return self.suspect.parts[PARTS.index(part)]

    def _time(self, block: int) -> Micros:
        return (self.record.first_block + block) * TEST_BLOCK

    def _since(self) -> tuple[Micros | None, Micros | None, Micros | None]:
        """Low, best and high; a release that is to blame began when its traffic did."""
        step = self.found.since
        if step is None:
            return None, None, None
        low, at, high = self._time(step.low), self._time(step.at), self._time(step.high)
        if self.introduced is not None:
            at = self.introduced.first_at
        return min(low, at), at, max(high, at)

    def _concentrated(self) -> tuple[Concentrated, ...]:
        if not self.found.changed:
            return ()
        segments = self.record.segments(self.found.bad)
        whole = {d: sum(s.exposure_after for s in segments if s.dimension == d) for d in self.record.values}
        return tuple(
            Concentrated(
                dimension=one.segment.dimension,
                value=one.segment.value,
                p=one.p,
                share_of_findings=one.share,
                share_of_traffic=one.segment.exposure_after / whole[one.segment.dimension],
            )
            for one in concentrated(segments, self.record.dispersion)
        )

    def _mix(self) -> Mix:
        raw, factor = self.after.est, self.found.mix_factor
        return Mix(
            raw=raw,
            low=self.after.lo,
            high=self.after.hi,
            before=self.before.est,
            fixed_mix=None if raw is None else min(raw / factor, 1.0),
            factor=factor,
            moved=tuple(Moved(**share._asdict()) for share in self.record.moved(self.found.bad)[:_SHOWN]),
        )

    def _said(self) -> str:
        if self.found.mix_only:
            return self._said_of_the_mix()
        if not self.found.changed:
            if len(self.record.releases) < 2:
                return "Cannot tell: no earlier deployment of this intent has labels, and its rate shows no change."
            return "No change is shown: people find as much in this deployment as in the history before it."
        assert self.best is not None
        told = f"Traced to {self._name(self.found.part)}, {self._ago()}" if self.found.part else self._cannot_tell()
        return f"{told}. {self._rates()}{self._where()}"

    def _said_of_the_mix(self) -> str:
        mix = self._mix()
        grown = next((share for share in mix.moved if share.after > share.before), None)
        towards = f" towards {grown.dimension} {grown.value or '(none)'}" if grown else ""
        return f"The mix of traffic moved{towards}; no release did it. {self._rates()}"

    def _cannot_tell(self) -> str:
        best = self.best
        assert best is not None
        if best.probability < CERTAIN and len(self.found.explanations) > 1:
            first, second = (self._described(e) for e in self.found.explanations[:2])
            return f"Cannot tell: {first} and {second} fit the history about equally well"
        if len(best.parts) > 1:
            names = _listed([NAMES[part] for part in best.parts])
            values = ", ".join(self._name(part) for part in best.parts)
            return f"Cannot tell: {names} changed together ({values}), {self._ago()}"
        if best.kind == "release":
            return "Cannot tell: the rise came with this release, and every part of it was there before without one"
        low, at, high = self._since()
        when = f"{_hour(at)} (between {_hour(low)} and {_hour(high)})"
        if best.kind == "drift":
            return f"Cannot tell: the rate rises slowly, with no release; half of it came after {when}"
        return f"Cannot tell: the rate rose at {when}, and no part changed then"

    def _described(self, explanation: Explanation) -> str:
        if explanation.kind != "release":
            return "a slow drift" if explanation.kind == "drift" else "a change without a release"
        return " with ".join(self._name(part) for part in explanation.parts) or "this release as a whole"

    def _name(self, part: str | None) -> str:
        return f"{NAMES[part]} {self._value(part)}" if part else ""

    def _ago(self) -> str:
        count = self.later or 0
        if not count:
            return "introduced with this release"
        number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
        return f"introduced {number} release{'s' if count > 1 else ''} ago"

    def _rates(self) -> str:
        mix = self._mix()
        if mix.raw is None or mix.fixed_mix is None:
            return "The rate is unknown: no label came back yet."
        before = "" if mix.before is None else f" after {_percent(mix.before)} before"
        return f"Rate {_percent(mix.raw)}{before}; {_percent(mix.fixed_mix)} at the mix of traffic from before."

    def _where(self) -> str:
        found = self._concentrated()
        if not found:
            return ""
        return " Concentrated in " + _listed([f"{c.dimension} {c.value or '(none)'}" for c in found[:_SHOWN]]) + "."


def _fields(release: Release) -> dict[str, str]:
    return {"id": release.id, **dict(zip(PARTS, release.parts, strict=True))}


def _shown(time: Micros | None) -> str | None:
    return None if time is None else iso(time)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _hour(time: Micros | None) -> str:
    return iso(time)[:13].replace("T", " ") + "h" if time is not None else "an unknown time"
