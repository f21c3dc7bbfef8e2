"""The README's way from one machine to a cluster, command by command, on real engines and PostgreSQL."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import drop_schema, postgresql_url
from tests.distributed.streaming import KEY, counts, wait_for
from tests.engines import engines
from tests.support.kafka import Producer
from tests.support.logs import line
from tidegauge.engine.kafka import PORT
from tidegauge.errors import StoreError

README = Path(__file__).parents[2] / "README.md"
SECONDS = 300.0

pytestmark = pytest.mark.timeout(1800)


def commands() -> list[str]:
    section = README.read_text().split("## From one machine to a cluster")[1].split("\n## ")[0]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found
    return [row.split(" # ")[0].strip() for row in found[1].splitlines()]


class Place:
    """A folder with a log and a configuration, in which the commands are given one after another."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "TIDEGAUGE_SAMPLING_KEY": KEY}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.store = f"sqlite:///{folder}/tidegauge.db"
        self._postgresql = store
        self._sent = 0
        self._producer: Producer | None = None
        self._config = 'sampling: {rate: 0.5}\nsources: [{files: "logs/*.jsonl"}]\n'
        (folder / "logs").mkdir()
        self._write()

    def _write(self) -> None:
        (self.folder / "tidegauge.yaml").write_text(self._config)

    def more(self) -> None:
        """Fifty new requests, where the job now reads."""
        lines = [line(request_id=f"r-{self._sent + n}") for n in range(50)]
        self._sent += len(lines)
        if self._producer is not None:
            self._producer.send(lines)
        else:
            with (self.folder / "logs" / "a.jsonl").open("ab") as log:
                log.write(b"\n".join(lines) + b"\n")

    def give(self, command: str) -> None:
        words = shlex.split(command)
        if words[0] == "export":
            name, _, _ = words[1].partition("=")
            self.environment[name] = self.store = self._postgresql
            self._sent = 0  # it begins with what the log has
            (self.folder / "logs" / "a.jsonl").unlink()
        elif words[1] == "stream" or "--every" in words:
            self._until_read(words)
        elif "--watch" in words:
            self._for_a_while(words)
        else:
            said = subprocess.run(
                words, cwd=self.folder, env=self.environment, check=False, capture_output=True, text=True
            )
            assert said.returncode == 0, said.stderr
            if words[1:3] == ["engine", "start"]:
                self._take(words[3], said.stdout)
            elif words[1] == "run":
                assert counts(self.store)["seen"] == self._sent

    def _take(self, engine: str, printed: str) -> None:
        """What `engine start` prints goes into the configuration."""
        if engine == "kafka":
            self._producer = Producer(f"127.0.0.1:{PORT}", "requests", partitions=3)
            self._config = self._config.replace('sources: [{files: "logs/*.jsonl"}]\n', "")
        self._config += printed
        self._write()

    def _until_read(self, words: list[str]) -> None:
        """A job that goes on is given more, and stopped in order when it has read that."""
        self.more()
        with (self.folder / "said").open("wb") as said:
            job = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=said, stderr=said)
        try:
            wait_for(lambda: self._read() or job.poll() is not None, SECONDS, " ".join(words))
            job.send_signal(signal.SIGTERM)
            assert job.wait(timeout=SECONDS) == 0, (self.folder / "said").read_text()
        finally:
            job.kill()
            job.wait()
        assert self._read()

    def _read(self) -> bool:
        try:
            found = counts(self.store)
        except StoreError:  # nobody has made the tables yet
            return False
        return bool(found["seen"] >= self._sent and not found["pending"])

    def _for_a_while(self, words: list[str]) -> None:
        shown = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert shown.stdout is not None
        assert shown.stdout.readline()
        shown.send_signal(signal.SIGINT)
        shown.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / ".engine").mkdir()
    for part in ("prism", "kafka", "flink"):
        lib = engines("prism", "kafka/lib", "flink/lib") / part
        if lib.is_dir():
            (tmp_path / ".engine" / part).mkdir()
            (tmp_path / ".engine" / part / "lib").symlink_to(lib / "lib")
        else:
            (tmp_path / ".engine" / part).symlink_to(lib)
    store = postgresql_url()
    made = Place(tmp_path, store)
    yield made
    for engine in ("flink", "kafka"):
        words = ["tidegauge", "engine", "stop", engine]
        subprocess.run(words, cwd=tmp_path, env=made.environment, check=True, capture_output=True)
    drop_schema(store)


def test_every_command_of_the_way_works(place: Place) -> None:
    given = commands()
    assert len(given) >= 10
    for command in given:
        began = time.monotonic()
        place.give(command)
        print(f"{time.monotonic() - began:6.1f} s  {command}")
