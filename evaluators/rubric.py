"""Rubrics: what a judge is asked, as immutable YAML files ``rubrics/NAME/VERSION.yaml``.

A rubric is loaded by ``name@version``. Its content hash is over the canonical JSON of what it says, so comments, order
of keys and line breaks of the file do not count, while any change of a word does.
"""

import importlib.resources
import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from evaluators.base import content_hash
from tidegauge.errors import ArtifactChanged, ConfigError
from tidegauge.spelling import did_you_mean

Text = Annotated[str, msgspec.Meta(min_length=1)]
Field = Literal["question", "contexts", "response"]

_SHIPPED = importlib.resources.files("rubrics")
"""Found once, before a folder of the user's own rubrics can get onto Python's path."""

_REFERENCE = re.compile(r"([a-z][a-z0-9_]*)@(\d+\.\d+\.\d+)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_UNKNOWN = re.compile(r"unknown field `(\w+)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts; an unknown key is an error."""


class LabelDefinition(Part, frozen=True, kw_only=True):
    name: Text
    definition: Text


class Quote(Part, frozen=True, kw_only=True):
    """Evidence, verbatim: what is faulted in the response, and what supports it in a context where something does."""

    response: str
    context: str | None = None


class JudgeAnswer(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What the judge answers; `confidence` is the probability that the label is right."""

    label: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reason: str
    quotes: tuple[Quote, ...] = ()


class Example(Part, frozen=True, kw_only=True):
    response: str
    answer: JudgeAnswer
    question: str = ""
    contexts: tuple[str, ...] = ()


class Change(Part, frozen=True, kw_only=True):
    version: Text
    date: date
    text: Text


class Rubric(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What has a default is no part of the canonical form while it has it, so that new fields change no old hash."""

    name: Text
    version: Text
    indicator: Text
    question: Text
    labels: Annotated[tuple[LabelDefinition, ...], msgspec.Meta(min_length=2)]
    criteria: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    examples: tuple[Example, ...] = ()
    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)]
    capability: Literal["json_schema", "json_object", "text"] = "text"
    """The least that an endpoint must be able to be held to for its answers to count."""
    response: dict[str, Any]
    """JSON Schema of the judge's answer."""
    score: dict[str, Literal["confidence", "1 - confidence"]]
    """How a label and its confidence become the raw score."""
    changelog: Annotated[tuple[Change, ...], msgspec.Meta(min_length=1)]

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def content_hash(self) -> str:
        return content_hash(msgspec.to_builtins(self))

    def raw_score(self, answer: JudgeAnswer) -> float:
        """P(first label) in [0, 1]."""
        return answer.confidence if self.score[answer.label] == "confidence" else 1 - answer.confidence


def load_rubric(reference: str, folder: Path | None = None) -> Rubric:
    """The rubric ``name@version``: of the user's folder, else as shipped. Raises ConfigError, ArtifactChanged."""
    data, shown, shipped = rubric_text(reference, folder)
    rubric = parse_rubric(data, shown, reference)
    released = _released().get(reference) if shipped else None
    if released is not None and released != rubric.content_hash:
        raise ArtifactChanged(
            f"rubric {reference}: its text changed after its release ({released} released, {rubric.content_hash} "
            "here): release it under a new version"
        )
    return rubric


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def rubric_text(reference: str, folder: Path | None = None) -> tuple[bytes, str, bool]:
    """The file of a rubric: its bytes, how it is called, and whether it is a shipped one. Raises ConfigError."""
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise ConfigError(f"rubric {reference!r}: write NAME@VERSION, for example hallucination@1.0.0")
    name, version = match.groups()
    own = folder / name / f"{version}.yaml" if folder else None
    if own is not None and own.is_file():
        return own.read_bytes(), str(own), False
    file = _SHIPPED.joinpath(name, f"{version}.yaml")
    if not file.is_file():
        known = rubrics(folder)
        hint = did_you_mean(reference, known, cutoff=0.6) or f"; there are {', '.join(known)}"
        raise ConfigError(f"rubric {reference}: there is no such rubric{hint}")
    return file.read_bytes(), f"rubrics/{name}/{version}.yaml", True


def rubrics(folder: Path | None = None) -> list[str]:
    """References of the shipped rubrics and of those of a folder, by name, then by version."""
    places = [_SHIPPED, *([folder] if folder and folder.is_dir() else [])]
    found = {
        f"{name.name}@{file.name.removesuffix('.yaml')}"
        for place in places
        for name in place.iterdir()
        if name.is_dir() and not name.name.startswith("_")
        for file in name.iterdir()
        if _REFERENCE.fullmatch(f"{name.name}@{file.name.removesuffix('.yaml')}") and file.name.endswith(".yaml")
    }
    return sorted(found, key=_order)


def previous(reference: str, folder: Path | None = None) -> str | None:
    """The newest version of a rubric that is older than this one."""
    older = [
        r
        for r in rubrics(folder)
        if r.split("@")[0] == reference.split("@", maxsplit=1)[0] and _order(r) < _order(reference)
    ]
    return older[-1] if older else None


def _order(reference: str) -> tuple[str, tuple[int, ...]]:
    name, _, version = reference.partition("@")
    return name, tuple(map(int, version.split(".")))


@cache
def _released() -> dict[str, str]:
    """Content hashes of the shipped rubrics, as they were released."""
    text = _SHIPPED.joinpath("released.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, str])


def parse_rubric(data: bytes, shown: str, reference: str | None = None) -> Rubric:
    """A rubric from its YAML. Raises ConfigError, one line with file, line and key."""
    lines: dict[str, int] = {}
    try:
        node = yaml.compose(data, Loader=yaml.SafeLoader)
        if node is not None:
            _walk(node, "", lines, shown)
        rubric = msgspec.convert(yaml.safe_load(data), Rubric)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _PLACE.search(text)
        unknown = _UNKNOWN.search(text)
        path = (place[1] if place else "") + (f".{unknown[1]}" if unknown else "")
        raise _fault(shown, _line(path, lines), path, _PLACE.sub("", text)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _fault(shown, mark.line + 1 if mark else 1, "", f"not YAML: {problem}") from None
    for path, problem in _contradictions(rubric, reference):
        raise _fault(shown, _line(path, lines), path, problem)
    return rubric


def _contradictions(rubric: Rubric, reference: str | None) -> list[tuple[str, str]]:
    """(path, problem) of what each part allows and the whole does not."""
    names = [label.name for label in rubric.labels]
    schema = rubric.response.get("properties")
    asked = schema.get("label") if isinstance(schema, dict) else None
    enum = asked.get("enum") if isinstance(asked, dict) else None
    found = [
        (reference is not None and rubric.reference != reference, ".version", f"the file says {rubric.reference}"),
        (len(set(names)) < len(names), ".labels", "a label is named twice"),
        (set(rubric.score) != set(names), ".score", f"wants exactly the labels {', '.join(names)}"),
        (rubric.score.get(names[0]) != "confidence", ".score", f"must rise with the confidence in {names[0]}"),
        ("response" not in rubric.fields, ".fields", "a judge must see the response"),
        (enum != names, ".response", f"properties.label.enum must be the labels: {', '.join(names)}"),
        (rubric.changelog[-1].version != rubric.version, ".changelog", f"its last entry must be {rubric.version}"),
    ]
    wrong = [
        (f".examples[{i}].answer.label", f"{example.answer.label!r} is no label")
        for i, example in enumerate(rubric.examples)
        if example.answer.label not in names
    ]
    return [(path, problem) for bad, path, problem in found if bad] + wrong


def _walk(node: yaml.Node, path: str, lines: dict[str, int], shown: str) -> None:
    """Notes the line of every path of the document. Raises ConfigError on a key that stands twice."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = f"{path}.{key.value}"
            if step in lines:
                raise _fault(shown, key.start_mark.line + 1, step, "the key stands twice")
            lines[step] = key.start_mark.line + 1
            _walk(value, step, lines, shown)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, f"{path}[{index}]", lines, shown)


def _line(path: str, lines: dict[str, int]) -> int:
    """Line of a path, or of the nearest part of the document that holds it."""
    known, line = "", lines.get("", 1)
    for match in _STEP.finditer(path):
        known += match[0]
        line = lines.get(known, line)
    return line


def _fault(shown: str, line: int, path: str, problem: str) -> ConfigError:
    key = path.lstrip(".")
    return ConfigError(f"{shown}:{line}: {key + ': ' if key else ''}{problem}")
