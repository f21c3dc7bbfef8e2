"""One log, the same tables: `run` and `stream`, SQLite and PostgreSQL, Prism and Flink, files and Kafka."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.distributed.streaming import Stream, compose, digest, run_once, wait_for
from tests.support.kafka import Producer
from tidegauge.engine.flink import Flink
from tidegauge.engine.kafka import Kafka

REQUESTS = int(os.environ.get("TIDEGAUGE_TEST_REQUESTS", "6000"))
"""`make distributed` asks for 200,000."""

SECONDS = 300 + REQUESTS / 200

pytestmark = pytest.mark.timeout(900 + 2 * SECONDS)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return compose(tmp_path_factory.mktemp("log"), REQUESTS)


@pytest.fixture(scope="module")
def wanted(log: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """What `tidegauge run` on SQLite makes of it."""
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "log.jsonl").write_bytes(b"".join(log))
    url = f"sqlite:///{folder}/store.db"
    run_once(url, folder / "log.jsonl")
    lines, found = digest(url)
    assert lines > REQUESTS / 50
    return lines, found


def growing(path: Path, log: Sequence[bytes]) -> Iterator[int]:
    """Appends the log in tenths, the cuts in the middle of lines; how many bytes are there."""
    content = b"".join(log)
    step = len(content) // 10 + 1
    for start in range(0, len(content), step):
        with path.open("ab") as file:
            file.write(content[start : start + step])
        yield min(start + step, len(content))


def test_run_on_postgresql(log: list[bytes], wanted: tuple[int, str], postgresql: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(log))
    run_once(postgresql, tmp_path / "log.jsonl")
    assert digest(postgresql) == wanted


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_stream_on_prism_from_files_that_grow(
    log: list[bytes],
    wanted: tuple[int, str],
    prism: dict[str, str],
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/store.db" if database == "sqlite" else request.getfixturevalue("postgresql")
    config = {"sources": [{"files": f"{tmp_path}/log.jsonl"}], "stream": {"tick_seconds": 0.5, "prism": prism}}
    with Stream(tmp_path / "stream", "prism", url, config) as stream:
        for _ in growing(tmp_path / "log.jsonl", log):
            wait_for(lambda: "running:" in stream.log.read_text() or not stream.alive(), 60, "submission")
        stream.wait_until_done(len(log), SECONDS)
        assert "all work in hand was done" in stream.stop()
    assert digest(url) == wanted


def test_stream_on_flink_from_files(
    log: list[bytes], wanted: tuple[int, str], flink: Flink, postgresql: str, tmp_path: Path
) -> None:
    """Workers as processes of the task managers; the other test's come from a pool."""
    process = {"environment": "process", "environment_config": None}
    section = {"tick_seconds": 0.5, "flink": flink.section | process | {"parallelism": 2}}
    config = {"sources": [{"files": f"{tmp_path}/log.jsonl"}], "stream": section}
    with Stream(tmp_path / "stream", "flink", postgresql, config) as stream:
        for _ in growing(tmp_path / "log.jsonl", log):
            pass
        stream.wait_until_done(len(log), SECONDS)
        assert "all work in hand was done" in stream.stop()
    assert digest(postgresql) == wanted
    assert not [*flink.work.glob("tmp/**/blob_p-*")], "a submission carried jars that the task managers have"


def test_stream_on_flink_from_kafka(
    log: list[bytes], wanted: tuple[int, str], flink: Flink, kafka: Kafka, postgresql: str, tmp_path: Path
) -> None:
    """Three partitions, produced to while it streams."""
    topic = "requests-same-tables"
    producer = Producer(kafka.bootstrap, topic, partitions=3)
    section = {"tick_seconds": 0.5, "flink": flink.section | {"parallelism": 2}}
    config = {"sources": [{"kafka": kafka.bootstrap, "topics": topic}], "stream": section}
    with Stream(tmp_path / "stream", "flink", postgresql, config) as stream:
        for start in range(0, len(log), len(log) // 10):
            producer.send(log[start : start + len(log) // 10])
            wait_for(lambda: "running:" in stream.log.read_text() or not stream.alive(), 90, "submission")
        stream.wait_until_done(len(log), SECONDS)
        assert "all work in hand was done" in stream.stop()
    assert digest(postgresql) == wanted
