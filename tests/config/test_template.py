"""`tidegauge init` writes every key, and what it says of defaults is so."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tidegauge.cli import main
from tidegauge.commands.template import TEMPLATE
from tidegauge.config import Config, EndpointSection, StepSection
from tidegauge.config_load import load

NOT_OF_THE_FILE = {"directory", "slos"}
WHOLE = re.sub(r"^( *)#(?! ?$)(?! \S)", r"\1", TEMPLATE, flags=re.MULTILINE)
"""With every commented key."""

IN_WORDS = {
    EndpointSection: "{base_url, model, api_key_env}",
    StepSection: "{name: overlap, stop_below: 0.005, stop_above: 0.6}",
}
"""Parts of lists that are shown beside them."""

EXAMPLES = ("intents", "judges", "prices")
"""What an entry says here is no default."""

Found = Iterator[tuple[type, str, Any]]


def keys(type_: msgspec.inspect.Type, value: Any) -> Found:
    """Every key of a section that a value has, with the section's class and what it says."""
    if isinstance(type_, msgspec.inspect.UnionType):
        for one in type_.types:
            yield from keys(one, value)
    elif isinstance(type_, msgspec.inspect.StructType) and isinstance(value, Mapping):
        for field in type_.fields:
            if field.encode_name in value:
                yield type_.cls, field.name, value[field.encode_name]
                yield from keys(field.type, value[field.encode_name])
    elif isinstance(type_, msgspec.inspect.DictType) and isinstance(value, Mapping):
        for one in value.values():
            yield from keys(type_.value_type, one)
    elif isinstance(type_, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for one in value:
            yield from keys(type_.item_type, one)


def sections(type_: msgspec.inspect.Type) -> Iterator[type]:
    for inner in (*getattr(type_, "types", ()), getattr(type_, "value_type", None), getattr(type_, "item_type", None)):
        if inner is not None:
            yield from sections(inner)
    if isinstance(type_, msgspec.inspect.StructType):
        yield type_.cls
        for field in type_.fields:
            if field.name not in NOT_OF_THE_FILE:
                yield from sections(field.type)


def test_every_key_is_in_it() -> None:
    info = msgspec.inspect.type_info(Config)
    said: defaultdict[type, set[str]] = defaultdict(set)
    for cls, name, _ in keys(info, yaml.safe_load(WHOLE)):
        said[cls].add(name)
    for cls in set(sections(info)):
        wanted = set(cls.__struct_fields__) - NOT_OF_THE_FILE
        words = IN_WORDS.get(cls, "")
        assert words in TEMPLATE
        assert {name for name in wanted - said[cls] if name not in words} == set(), cls.__name__


def test_what_is_commented_out_is_the_default_where_there_is_one() -> None:
    whole = yaml.safe_load(WHOLE)
    settings = {name: value for name, value in whole.items() if name not in EXAMPLES}
    compared = 0
    for cls, name, value in keys(msgspec.inspect.type_info(Config), settings):
        default = next(f.default for f in msgspec.structs.fields(cls) if f.name == name)
        if isinstance(default, bool | int | float | str) and default != "":
            assert value == default, (cls.__name__, name)
            compared += 1
    assert compared > 50


def test_it_works_as_it_is_and_with_every_key(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    for text in (TEMPLATE, WHOLE):
        (tmp_path / "tidegauge.yaml").write_text(text)
        assert load(tmp_path / "tidegauge.yaml", {}).sampling.rate == 0.02
