"""What every command starts from: its flags, the configuration, the store and the real clock."""

import argparse
import time
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tidegauge.domain import Clock, Micros
from tidegauge.errors import UsageError
from tidegauge.show import tame
from tidegauge.stdio import say

if TYPE_CHECKING:
    from tidegauge.config import Config
    from tidegauge.storage.store import Store


class SystemClock:
    """The real one."""

    def now(self) -> Micros:
        return time.time_ns() // 1_000


@dataclass(frozen=True)
class Context:
    """The surroundings of one call."""

    args: argparse.Namespace
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)

    def config(self) -> "Config":
        """The configuration. Without a file, and with a store named otherwise, the defaults."""
        from tidegauge import config_load

        path = self.args.config or Path(config_load.DEFAULT_NAME)
        elsewhere = self.args.store or self.environ.get("TIDEGAUGE_STORE_URL")
        if self.args.config is None and elsewhere and not path.exists():
            return config_load.defaults(Path(), self.environ)
        return config_load.load(path, self.environ)

    def has_config(self) -> bool:
        """Whether a configuration is named or lies here."""
        from tidegauge.config_load import DEFAULT_NAME

        return self.args.config is not None or Path(DEFAULT_NAME).exists()

    def config_if_any(self) -> "Config":
        """The configuration, or the defaults where no file is named and none lies here: for what works without one."""
        from tidegauge import config_load

        return self.config() if self.has_config() else config_load.defaults(Path(), self.environ)

    def store_url(self) -> str:
        """`--store`, relative to where one is, else the configuration's. Raises UsageError for what names no store."""
        from tidegauge.config_load import absolute_store
        from tidegauge.config_rules import STORE_FORM, is_store

        if not self.args.store:
            return self.config().store.url
        if not is_store(self.args.store):
            raise UsageError(f"--store: {STORE_FORM}")
        return absolute_store(self.args.store, Path())

    def who(self) -> str:
        """Who acts: `--who`, else TIDEGAUGE_WHO, else the login name."""
        given = getattr(self.args, "who", None) or self.environ.get("TIDEGAUGE_WHO") or ""
        return given.encode(errors="replace").decode().strip() or _login()

    @contextmanager
    def store(self) -> "Iterator[Store]":
        """The store, at the program's schema."""
        from tidegauge.storage.migrations import migrate
        from tidegauge.storage.store import Store

        store = Store(self.store_url(), self.config().store, self.args.module)
        try:
            migrate(store)
            yield store
        finally:
            store.close()

    @contextmanager
    def existing_store(self) -> "Iterator[Store]":
        """The same for what makes no sense on an empty one: a file that is not there is an error, and not made."""
        from tidegauge.errors import StoreError

        if file := self.missing_store():
            raise StoreError(f"no such store: {file}; `tidegauge run` makes it")
        with self.store() as store:
            yield store

    def missing_store(self) -> Path | None:
        """The file of a store that is not there; None where there is one, and where a server has it."""
        from tidegauge.config_load import sqlite_file

        file = sqlite_file(self.store_url())
        return file if file is not None and not file.exists() else None


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file that people wrote, without the byte order mark of some editors. Raises OSError."""
    return path.read_bytes().removeprefix(BOM_UTF8).splitlines()


def print_json(value: Any) -> None:
    """JSON as the standard has it: what is no finite number is null."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_text(text: str) -> None:
    """A result for people."""
    print(tame(text), flush=True)


def note(text: str) -> None:
    """To people; stdout is kept for results."""
    say(tame(text))
