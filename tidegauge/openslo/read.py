"""YAML into documents. Every problem is kept as one line that names the file, the line and the field."""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from tidegauge.openslo.documents import AnyDocument

Path_ = tuple[str | int, ...]

_AT = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$")
_FIELD = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<name>.+?)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_MOST = 20  # problems a document
_DEEPEST = 40


@dataclass(frozen=True)
class Placed:
    """A document and where it stands."""

    document: AnyDocument
    file: str
    lines: dict[Path_, int] = field(repr=False, compare=False)

    def at(self, *path: str | int) -> str:
        """`file:line` of a field, or of the nearest one around it."""
        return f"{self.file}:{_line(self.lines, path)}"


def read_files(patterns: Sequence[str], directory: Path) -> tuple[list[Placed], list[str]]:
    """Documents of all files that the patterns match, relative to a directory, and what is wrong with them."""
    found: list[Placed] = []
    problems: list[str] = []
    seen: set[str] = set()
    for pattern in patterns:
        names = sorted(glob.glob(str(directory / pattern), recursive=True))
        if not names:
            problems.append(f"objectives: {pattern} matches no file")
        for name in names:
            if name in seen:
                continue
            seen.add(name)
            shown = str(Path(name).relative_to(directory)) if Path(name).is_relative_to(directory) else name
            try:
                text = Path(name).read_bytes().decode("utf-8")
            except OSError as error:
                problems.append(f"{shown}: cannot be read: {error.strerror}")
            except UnicodeDecodeError as error:
                problems.append(f"{shown}: byte {error.start} is not UTF-8")
            else:
                documents, wrong = read_text(text, shown)
                found += documents
                problems += wrong
    return found, problems


def read_text(text: str, file: str) -> tuple[list[Placed], list[str]]:
    """Documents of one text, and what is wrong with it. Never raises."""
    found: list[Placed] = []
    problems: list[str] = []
    try:
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "not YAML").split())
        return [], [f"{file}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}"]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return [], [f"{file}: not valid YAML: {' '.join(str(error).split())[:200]}"]
    for node in nodes:
        if node is None or str(node.tag).endswith(":null"):
            continue
        tree = _Tree(file)
        data = tree.value(node, ())
        if tree.problems:
            problems += tree.problems
            continue
        document, wrong = _convert(data, tree.lines, file)
        problems += wrong
        if document is not None:
            found.append(Placed(document, file, tree.lines))
    return found, problems


class _Tree:
    """Plain values of a node, and the line of each path."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._loader = yaml.SafeLoader("")
        self.lines: dict[Path_, int] = {}
        self.problems: list[str] = []

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > _DEEPEST:
            self._wrong(node, path[:3], "nested too deeply")
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, place)) for place, child in enumerate(node.value)]
        return self._scalar(cast(yaml.ScalarNode, node), path)

    def _entries(self, node: yaml.MappingNode, path: Path_) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(key, path, "a key has to be text")
                continue
            if key.value in seen:
                self._wrong(key, (*path, key.value), "set twice")
            seen.add(key.value)
            self.lines[(*path, key.value)] = key.start_mark.line + 1
            yield key.value, self.value(child, (*path, key.value))

    def _scalar(self, node: yaml.ScalarNode, path: Path_) -> Any:
        if str(node.tag).endswith((":str", ":timestamp")):
            return node.value
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            self._wrong(node, path, "no plain value")
            return None
        finite = not isinstance(value, float) or abs(value) < float("inf")
        if not finite or not isinstance(value, str | int | float | bool | None):
            self._wrong(node, path, "no plain value")
            return None
        return value

    def _wrong(self, node: yaml.Node, path: Path_, problem: str) -> None:
        self.problems.append(f"{self._file}:{node.start_mark.line + 1}: {shown(path)}{problem}")


def _convert(data: Any, lines: dict[Path_, int], file: str) -> tuple[AnyDocument | None, list[str]]:
    """The document; what is wrong is taken out and noted, so that the next problem is found too."""
    problems: list[str] = []
    while len(problems) < _MOST:
        try:
            document = msgspec.convert(data, AnyDocument)
        except msgspec.ValidationError as error:
            path, problem = _explained(str(error))
            missing = problem.endswith("is missing")
            if missing and problems:
                return None, problems  # what was taken out, most likely
            problems.append(f"{file}:{_line(lines, path)}: {shown(path)}{problem}")
            if missing or not _take_out(data, path):
                return None, problems
        else:
            return (None if problems else document), problems
    return None, problems


def _explained(message: str) -> tuple[Path_, str]:
    """Path and problem of a message of msgspec."""
    at = _AT.search(message)
    steps = _STEP.findall(at["path"].replace("[...]", "")) if at else []
    path: Path_ = tuple(int(number) if number else name for name, number in steps)
    problem = message[: at.start()] if at else message
    found = _FIELD.match(problem)
    if found and found["what"] == "missing required":
        return path, f"{found['name']} is missing"
    if found:
        return (*path, found["name"]), "unknown field"
    return path, problem[0].lower() + problem[1:].replace("`", "")


def _take_out(data: Any, path: Path_) -> bool:
    place = data
    try:
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _line(lines: dict[Path_, int], path: Path_) -> int:
    """Of the path, or of the nearest one around it."""
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path, 1)


def shown(path: Path_) -> str:
    """A path as a prefix of a message."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step[:60]}"
    return f"{text.lstrip('.')}: " if text else ""
