"""Reads tidegauge.yaml. Whatever the text, the outcome is a `Config` or a `ConfigError` of one line.

A message names the file, the line, the key, what is wrong and what is allowed. The walk follows the types of
`tidegauge.config`, so that a new key needs no word here.
"""

import math
import re
from collections.abc import Iterator, Mapping
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import msgspec
import msgspec.inspect
import yaml

from tidegauge.config import Config
from tidegauge.config_rules import KNOWN_SECRETS, broken_rule, password_in
from tidegauge.errors import ConfigError, ObjectivesInvalid
from tidegauge.openslo import Slo, read_files, resolve
from tidegauge.spelling import did_you_mean, nearest

DEFAULT_NAME = "tidegauge.yaml"
PREFIX = "TIDEGAUGE_"
_SECRET = re.compile(r"(^|_)(key|secret|password|passwd|token|credentials?)$", re.IGNORECASE)
_DEEPEST = 50
_SCALARS = {"str", "int", "float", "bool", "null", "timestamp"}
_NOT_OF_THE_FILE = {"directory", "slos"}
SQLITE = "sqlite:///"

Key = tuple[str, ...]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file, overridden by the environment; relative paths in it made absolute."""
    return _resolved(_Reader(path.name).read(_text(path), environ), path.absolute().parent)


def defaults(directory: Path, environ: Mapping[str, str]) -> Config:
    """The configuration where there is no file: the defaults, overridden by the environment."""
    return _resolved(_Reader(DEFAULT_NAME).read("", environ), directory.absolute())


def variables() -> dict[str, Key]:
    """The environment variables that override a key of the file, and the key."""
    return {name: key for name, key, kind in _named_leaves() if _is_one_line(kind)}


def misspelt(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that nobody reads and that look like one that somebody does, with the name that was probably meant."""
    known = [*variables(), *KNOWN_SECRETS.values()]
    found: dict[str, str] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            meant = nearest(name, known, cutoff=0.9)
            found.update({name: meant} if meant else {})
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; write one with `tidegauge init`") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8") from None


def _resolved(config: Config, directory: Path) -> Config:
    base = Path(str(directory).replace("[", "[[]"))  # of the pattern only `files` is one
    sources = tuple(
        s if s.files is None or s.is_remote else msgspec.structs.replace(s, files=str(base / s.files))
        for s in config.sources
    )
    store = msgspec.structs.replace(config.store, url=absolute_store(config.store.url, directory))
    rubrics = str(directory / config.rubrics)
    slos = _slos(config.objectives, directory)
    changes = {"sources": sources, "store": store, "rubrics": rubrics, "slos": slos}
    return msgspec.structs.replace(config, directory=directory, **changes)


def _slos(patterns: tuple[str, ...], directory: Path) -> tuple[Slo, ...]:
    placed, problems = read_files(patterns, directory)
    slos, wrong = resolve(placed)
    if problems or wrong:
        raise ObjectivesInvalid([*problems, *wrong])
    return tuple(slos)


def absolute_store(url: str, directory: Path) -> str:
    """A store's URL with the path of an SQLite file made absolute."""
    file = url.removeprefix(SQLITE)
    if file == url or file.startswith((":memory:", "file:")) or not file:
        return url
    folder = str(directory.absolute()).replace("%", "%25").replace("?", "%3F")  # in a URL they are no letters
    return SQLITE + str(Path(folder) / file)


def sqlite_file(url: str) -> Path | None:
    """The file of a store; None where it is none."""
    file = unquote(url.removeprefix(SQLITE).partition("?")[0])
    return None if not url.startswith(SQLITE) or file.startswith((":memory:", "file:")) or not file else Path(file)


def _fields(cls: type) -> dict[str, Any]:
    """Keys of a section and their types."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    return {f.encode_name: f for f in info.fields if f.encode_name not in _NOT_OF_THE_FILE}


def _leaves(fields: Mapping[str, Any], key: Key) -> Iterator[tuple[Key, Any]]:
    for name, field in fields.items():
        if isinstance(field.type, msgspec.inspect.StructType):
            yield from _leaves(_fields(field.type.cls), (*key, name))
        else:
            yield (*key, name), field.type


def _named_leaves() -> Iterator[tuple[str, Key, Any]]:
    """Every key that is no section, with the environment variable of its name and its type."""
    for key, kind in _leaves(_fields(Config), ()):
        yield PREFIX + "_".join(key).upper(), key, kind


def _is_one_line(kind: Any) -> bool:
    """Whether text can say it: a scalar, or a list of scalars with commas between them."""
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return not isinstance(kind.item_type, msgspec.inspect.StructType)
    return not isinstance(kind, msgspec.inspect.DictType)


class _Reader:
    """One reading of one file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: dict[Key, str] = {}
        self._loader = yaml.SafeLoader("")

    def read(self, text: str, environ: Mapping[str, str]) -> Config:
        root = self._compose(text)
        self._lines[()] = f"{self._name}:1"
        data = {} if root is None or _tag(root) == "null" else self._struct(root, (), Config)
        self._override(data, environ)
        config = msgspec.convert(data, Config)
        broken = broken_rule(config)
        if broken:
            key, problem = broken
            raise ConfigError(f"{self._place(key)}: {_dotted(key)}: {problem}")
        return config

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            return yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            problem = " ".join(str(error.problem or error.context or "not YAML").split())
            if "'\\t'" in problem:
                problem = "a tab; YAML is indented with spaces"
            raise ConfigError(f"{self._name}:{line}: not valid YAML: {problem}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self._name}: not valid YAML: {' '.join(str(error).split())}") from None
        except RecursionError:
            raise ConfigError(f"{self._name}: nested too deeply") from None

    def _place(self, key: Key) -> str:
        """Where a key, or the nearest key around it, was set."""
        return self._lines.get(key) or self._place(key[:-1])

    def _fail(self, node: yaml.Node, key: Key, problem: str) -> NoReturn:
        shown = f"{_dotted(key)}: " if key else ""
        raise ConfigError(f"{self._name}:{node.start_mark.line + 1}: {shown}{problem}")

    def _struct(self, node: yaml.Node, key: Key, cls: type) -> dict[str, Any]:
        fields = _fields(cls)
        found: dict[str, Any] = {}
        for name, key_node, child in self._entries(node, key):
            field = fields.get(name)
            if field is None:
                self._fail(key_node, (*key, name), _unknown((*key, name), fields))
            found[name] = self._value(child, (*key, name), field.type)
        missing = [n for n, f in fields.items() if f.required and n not in found]
        if missing:
            self._fail(node, key, f"{missing[0]} is missing")
        return found

    def _entries(self, node: yaml.Node, key: Key) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Keys of a mapping, each only once, with their values; remembers their lines."""
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, key, f"expected `key: value` lines, got {_shown(node)}")
        if len(key) > _DEEPEST:
            self._fail(node, key[:3], "nested too deeply")
        seen: dict[str, int] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or _tag(key_node) not in _SCALARS:
                self._fail(key_node, key, "a key has to be text")
            name = key_node.value
            if name in seen:
                self._fail(key_node, (*key, name), f"set twice; first on line {seen[name]}")
            seen[name] = key_node.start_mark.line + 1
            self._lines[(*key, name)] = f"{self._name}:{seen[name]}"
            yield name, key_node, child

    def _value(self, node: yaml.Node, key: Key, kind: Any) -> Any:
        if isinstance(kind, msgspec.inspect.UnionType) and not isinstance(node, yaml.ScalarNode):
            wanted = msgspec.inspect.StructType if isinstance(node, yaml.MappingNode) else msgspec.inspect.VarTupleType
            kind = next((k for k in kind.types if isinstance(k, wanted)), kind)
        if isinstance(kind, msgspec.inspect.StructType):
            return {} if _tag(node) == "null" else self._struct(node, key, kind.cls)
        if isinstance(kind, msgspec.inspect.DictType):
            if _tag(node) == "null":
                return {}
            return {name: self._value(v, (*key, name), kind.value_type) for name, _, v in self._entries(node, key)}
        if isinstance(kind, msgspec.inspect.VarTupleType):
            if _tag(node) == "null":
                return []
            if not isinstance(node, yaml.SequenceNode):
                self._fail(node, key, f"expected a list, got {_shown(node)}")
            return [self._value(n, (*key, str(i)), kind.item_type) for i, n in enumerate(node.value)]
        value = self._scalar(node, key, kind)
        if isinstance(value, str) and password_in(value):
            self._fail(node, key, f"a password does not belong in this file; set {PREFIX}{'_'.join(key).upper()}")
        return value

    def _scalar(self, node: yaml.Node, key: Key, kind: Any) -> Any:
        tag = _tag(node)
        if not isinstance(node, yaml.ScalarNode) or tag not in _SCALARS:
            self._fail(node, key, f"expected {_allowed(kind)}, got {_shown(node)}")
        value: Any = node.value
        numeric_text = tag == "str" and node.style is None and _takes(kind, msgspec.inspect.FloatType)
        try:
            if numeric_text:  # YAML 1.1 reads 1e-3 as text
                value = float(node.value)
            elif tag not in ("str", "timestamp"):
                value = self._loader.construct_object(node)
        except (ValueError, OverflowError):
            self._fail(node, key, f"expected {_allowed(kind)}, got {_shown(node)}")
        return _leaf(value, kind, lambda problem: self._fail(node, key, problem), _shown(node))

    def _override(self, data: dict[str, Any], environ: Mapping[str, str]) -> None:
        for name, key, kind in _named_leaves():
            if not environ.get(name):
                continue
            section = data
            for part in key[:-1]:
                section = section.setdefault(part, {})
            section[key[-1]] = _from_environment(name, environ[name], kind)
            self._lines[key] = f"environment: {name}"


def _from_environment(name: str, text: str, kind: Any) -> Any:
    def fail(problem: str) -> NoReturn:
        raise ConfigError(f"environment: {name}: {problem}")

    if not _is_one_line(kind):
        fail("is more than a value or a list of values, so it belongs in tidegauge.yaml")
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return [_from_text(part.strip(), kind.item_type, fail) for part in text.split(",") if part.strip()]
    return _from_text(text, kind, fail)


def _from_text(text: str, kind: Any, fail: Any) -> Any:
    """A scalar as a variable says it."""
    value: Any = text
    try:
        if _takes(kind, msgspec.inspect.BoolType):
            value = {"true": True, "false": False}.get(text.lower(), text)
        elif _takes(kind, msgspec.inspect.IntType):
            value = int(text)
        elif _takes(kind, msgspec.inspect.FloatType):
            value = float(text)
    except ValueError:
        fail(f"expected {_allowed(kind)}")
    return _leaf(value, kind, fail, "something else")


def _leaf(value: Any, kind: Any, fail: Any, shown: str) -> Any:
    """A scalar checked against its type."""
    kinds = _alternatives(kind)
    plain = {None: msgspec.inspect.NoneType, True: msgspec.inspect.BoolType, False: msgspec.inspect.BoolType}
    if (value is None or isinstance(value, bool)) and any(isinstance(k, plain[value]) for k in kinds):
        return value
    for one in kinds:
        if isinstance(one, msgspec.inspect.LiteralType) and value in one.values:
            return value
        if isinstance(one, msgspec.inspect.StrType) and isinstance(value, str):
            if "\0" in value:
                fail("a NUL character")
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(one, msgspec.inspect.IntType) and number and isinstance(value, int) and _within(value, one):
            return value
        if isinstance(one, msgspec.inspect.FloatType) and number and _finite(value) and _within(value, one):
            return float(value)
    near = did_you_mean(str(value), [str(v) for k in kinds for v in getattr(k, "values", ())])
    return fail(f"expected {_allowed(kind)}, got {shown}{near}")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _within(value: float, kind: Any) -> bool:
    if isinstance(value, int) and not -(1 << 62) < value < 1 << 62:
        return False
    return all(
        bound is None or holds(value, bound)
        for bound, holds in ((kind.ge, ge), (kind.gt, gt), (kind.le, le), (kind.lt, lt))
    )


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def _takes(kind: Any, wanted: type) -> bool:
    return any(isinstance(k, wanted) for k in _alternatives(kind))


def _allowed(kind: Any) -> str:
    """A type as people say it."""
    for one in _alternatives(kind):
        if isinstance(one, msgspec.inspect.LiteralType):
            return "one of " + ", ".join(sorted(map(str, one.values)))
        if isinstance(one, msgspec.inspect.BoolType):
            return "true or false"
        if isinstance(one, msgspec.inspect.FloatType | msgspec.inspect.IntType):
            word = "a number" if isinstance(one, msgspec.inspect.FloatType) else "a whole number"
            if one.le is not None:
                return f"{word} from {one.ge} to {one.le}"
            bounds = (("of at least", one.ge), ("more than", one.gt), ("less than", one.lt))
            return f"{word} {' and '.join(f'{how} {bound}' for how, bound in bounds if bound is not None)}".rstrip()
    return "text"


def _shown(node: yaml.Node) -> str:
    """A node as people say it. Text is not repeated: it may be a secret."""
    if isinstance(node, yaml.MappingNode):
        return "`key: value` lines"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    words = {"int": f"{node.value[:30]}", "float": f"{node.value[:30]}", "null": "nothing", "bool": f"{node.value}"}
    return words.get(_tag(node), "text" if _tag(node) in _SCALARS else f"the tag {node.tag[:40]}")


def _tag(node: yaml.Node) -> str:
    return str(node.tag).removeprefix("tag:yaml.org,2002:")


def _dotted(key: Key) -> str:
    return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in key).replace("\n", " ")


def _unknown(key: Key, fields: Mapping[str, Any]) -> str:
    secret = KNOWN_SECRETS.get(key)
    if secret is None and _SECRET.search(key[-1]):
        secret = PREFIX + "_".join(key).upper()
        secret = next((v for k, v in KNOWN_SECRETS.items() if k[:1] == key[:1]), secret)
    if secret:
        return f"a secret does not belong in this file; set {secret}"
    return f"unknown key; allowed: {', '.join(sorted(fields))}{did_you_mean(key[-1], fields)}"
