"""`tidegauge stream` as a process of its own, and what its store holds."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines import jobs
from tests.faults.test_composed_log import COMPOSER
from tidegauge.commands.context import SystemClock
from tidegauge.config import Config, JobSection, StoreSection
from tidegauge.storage.dump import canonical
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

KEY = "a key of the tests"
BLOCK_BYTES = 500_000
PROGRAM = Path(sys.executable).with_name("tidegauge")


def compose(folder: Path, requests: int) -> list[bytes]:
    """Lines of a log with duplicates, late records and lines that are broken."""
    command = [sys.executable, str(COMPOSER), "--out", str(folder), "--requests", str(requests), "--days", "7"]
    command += ["--bad-lines", "20", "--late", "0.01", "--duplicates", "0.005", "--lines-per-file", "10000000"]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "requests-00000.jsonl").read_bytes().splitlines(keepends=True)


def run_once(store_url: str, log: Path) -> None:
    """The same log by `tidegauge run`."""
    config = Config(store=StoreSection(url=store_url), job=JobSection(block_bytes=BLOCK_BYTES))
    store = Store(store_url)
    jobs.run(config, store, SystemClock(), logs=[str(log)], final=True, progress=jobs.silent)
    store.close()


def digest(store_url: str) -> tuple[int, str]:
    """How many lines the canonical dump has, and their hash."""
    store, found, lines = Store(store_url), hashlib.sha256(), 0
    with store.read() as tx:
        for line in canonical(tx):
            found.update(line)
            lines += 1
    store.close()
    return lines, found.hexdigest()


def counts(store_url: str) -> dict[str, Any]:
    store = Store(store_url)
    try:
        with store.read() as tx:
            return status(tx, SystemClock().now())
    finally:
        store.close()


def wait_for(done: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


class Stream:
    """One submission of `tidegauge stream`, with its own configuration file."""

    def __init__(
        self, folder: Path, runner: str, store_url: str, config: Mapping[str, Any], clock: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store_url = store_url
        self.log = folder / "stream.log"
        self._runner = runner
        self._clock = clock
        self._config = folder / "tidegauge.yaml"
        base = {"store": {"url": store_url}, "job": {"block_bytes": BLOCK_BYTES}}
        self._config.write_text(yaml.safe_dump({**base, **config}))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        if self._clock is None:
            command = [str(PROGRAM), "stream", "--runner", self._runner, "--config", str(self._config)]
        else:
            program = "import sys; from tests.distributed.jumping import main; main(*sys.argv[1:])"
            command = [sys.executable, "-c", program, self._runner, str(self._config), str(self._clock)]
        with self.log.open("ab") as log:
            environment = {**os.environ, "TIDEGAUGE_SAMPLING_KEY": KEY}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def stop(self) -> str:
        """As a supervisor does; what it said. It must have drained."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """As `stop`, or before it was so far that there was anything to stop."""
        self.signal(signal.SIGTERM)
        assert self._process is not None
        assert self._process.wait(timeout=120) in (0, -signal.SIGTERM), self.log.read_text()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> str:
        """Until it has ended, with exit code 0; what it said."""
        assert self._process is not None
        code = self._process.wait(timeout=120)
        said = self.log.read_text()
        assert code == 0, said
        return said

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> "Stream":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.alive():
            self.kill()

    def wait_until_done(self, records: int, seconds: float, *, restart: bool = False, pending: bool = False) -> None:
        """All records are committed and, unless `pending`, no sample waits. `restart`: as an init system does."""

        def done() -> bool:
            if restart and not self.alive():
                self.start()
            assert self.alive(), self.log.read_text()
            if "running: " not in self.log.read_text():
                return False
            found = counts(self.store_url)
            return bool(found["seen"] + found["blank_lines"] >= records and (pending or not found["pending"]))

        try:
            wait_for(done, seconds, f"{records} records on {self._runner}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {counts(self.store_url)}; {self.log.read_text()[-2000:]}") from None
