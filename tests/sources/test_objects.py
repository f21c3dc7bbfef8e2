"""Objects of a real S3 server on loopback: found, read in ranges, told apart when overwritten."""

import gzip
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from moto.server import ThreadedMotoServer

from pipelines import jobs
from pipelines.sources import objects
from pipelines.sources.source import Planning
from tests.conftest import drop_schema, postgresql_url
from tests.sources.test_archives import compact, parquet, zstd
from tests.support.ingest import Now, begin, claimed, work_off
from tests.support.replay import config_of, digest, dump_of, run_job
from tidegauge.config_load import load
from tidegauge.errors import ConfigError, SourceChanged, SourceError
from tidegauge.storage import flow
from tidegauge.storage.status import status
from tidegauge.storage.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, with the environment that clients find it by."""
    for name, value in (
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    bucket = boto3.resource("s3").Bucket("logs")
    bucket.create()
    yield bucket
    bucket.objects.all().delete()
    bucket.delete()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """SQLite: what the database must do here is what it does for files. The dump is compared on both."""
    return f"sqlite:///{tmp_path}/store.db"


def put(bucket: Any, name: str, content: bytes) -> None:
    bucket.put_object(Key=name, Body=content)


def run(store: Store, pattern: str = "s3://logs/day/*", block_bytes: int = 20_000) -> dict[str, Any]:
    done = jobs.run(config_of(store.url, block_bytes), store, Now(), logs=[pattern], progress=jobs.silent)
    return done.status


def dump(url: str) -> str:
    return digest(dump_of(url))


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_the_dump_is_that_of_local_files(database: str, bucket: Any, tmp_path: Path) -> None:
    data = compact(600)
    (tmp_path / "a.jsonl").write_bytes(data)
    local, remote = (f"sqlite:///{tmp_path}/{name}.db" for name in ("local", "remote"))
    if database == "postgresql":
        remote = postgresql_url()
    run_job(local, f"{tmp_path}/a.jsonl", 20_000)
    cuts = [data.index(b"\n", size) + 1 for size in (20_000, 90_000, 150_000)]
    parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    for name, content in (
        ("day/a.jsonl", parts[0]),
        ("day/b.jsonl.gz", gzip.compress(parts[1])),
        ("day/c.jsonl.zst", zstd(parts[2])),
        ("day/d.parquet", parquet(parts[3])),
        ("other/e.jsonl", parts[0]),
    ):
        put(bucket, name, content)
    run_job(remote, "s3://logs/day/*", 20_000)
    assert dump(remote) == dump(local)
    if database == "postgresql":
        drop_schema(remote)


def test_an_object_is_read_once_and_what_comes_later_is_found(bucket: Any, store: Store) -> None:
    put(bucket, "day/a.jsonl", compact(100))
    assert run(store, block_bytes=9_000)["seen"] == 100
    found = run(store)
    assert (found["seen"], found["blocks"]["done"] > 3) == (100, True)
    put(bucket, "day/b.jsonl", compact(10).removesuffix(b"\n"))
    assert run(store)["seen"] == 110


def test_an_object_that_was_overwritten_is_another_generation(bucket: Any, store: Store) -> None:
    put(bucket, "day/a.jsonl", compact(30))
    assert run(store)["seen"] == 30
    put(bucket, "day/a.jsonl", compact(30).replace(b"acme", b"acne"))
    assert run(store)["seen"] == 60
    bucket.Object("day/a.jsonl").delete()
    assert run(store)["seen"] == 60


def test_an_object_that_was_only_touched_is_not_read_again(bucket: Any, store: Store) -> None:
    put(bucket, "day/a.jsonl", compact(30))
    run(store)
    with store.write() as tx:
        tx.script("UPDATE generations SET inode = 'another time'")
    assert run(store)["seen"] == 30


def test_a_damaged_object_is_lost_with_a_ticket(bucket: Any, store: Store) -> None:
    put(bucket, "day/a.jsonl.zst", zstd(compact(30))[:-20])
    found = run(store)
    assert (found["seen"], found["blocks"]["lost"]) == (0, 1)
    with store.read() as tx:
        assert [row["kind"] for row in tx.rows("open_tickets")] == ["source_lost"]


def test_an_object_overwritten_between_plan_and_read_is_not_mixed(bucket: Any, store: Store) -> None:
    put(bucket, "day/a.jsonl", compact(30))
    source = objects.ObjectSource("s3://logs/day/*")
    begin(store)
    source.plan(store, Now(), Planning(1 << 20))
    (work,) = claimed(store, Now())
    put(bucket, "day/a.jsonl", compact(31))
    with pytest.raises(SourceChanged, match="overwritten"):
        list(source.read(work))


def test_a_server_that_is_gone_is_an_error_of_the_source_alone(
    bucket: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(compact(5))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 0.5)
    logs = ["s3://logs/day/*", f"{tmp_path}/a.jsonl"]
    done = jobs.run(config_of(store.url, 20_000), store, Now(), logs=logs, progress=jobs.silent)
    assert done.status["seen"] == 5
    with store.read() as tx:
        look = flow.flow(tx, Now().now())["run"]
    assert look["errors"]
    assert "s3://logs/day/*: " in look["error"]


DENIED = "s3://logs/day/b.jsonl"


def deny(monkeypatch: pytest.MonkeyPatch, asked: Callable[[], None]) -> None:
    """Whoever asks for the tag of one object meets `asked`."""
    ask = FileSystems.checksum

    def checksum(path: str) -> Any:
        if path == DENIED:
            asked()
        return ask(path)

    monkeypatch.setattr(FileSystems, "checksum", checksum)
    monkeypatch.setattr(objects, "LIST_SECONDS", 0.0)


def forbidden() -> None:
    raise BeamIOError("Checksum operation failed", {DENIED: PermissionError("403 Forbidden")})


def look(source: objects.ObjectSource, store: Store) -> tuple[str, int]:
    """What one look says, and how many requests were seen by then."""
    said = ""
    begin(store)
    try:
        source.plan(store, Now(), Planning(1 << 20))
    except SourceError as error:
        said = str(error)
    work_off(source, store, Now())
    with store.read() as tx:
        return said, status(tx, Now().now())["seen"]


def test_an_object_that_nobody_may_read_is_named_and_keeps_no_other(
    bucket: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        put(bucket, f"day/{name}.jsonl", compact(10))
    source = objects.ObjectSource("s3://logs/day/*")
    with monkeypatch.context() as patch:
        deny(patch, forbidden)
        for _ in range(2):
            assert look(source, store) == (f"{DENIED}: 403 Forbidden", 20)
        patch.setattr(objects, "LIST_SECONDS", 60.0)
        bucket.Object("day/c.jsonl").delete()
        look(source, store)
        patch.setattr(FileSystems, "match", lambda _: pytest.fail("lists again too soon"))
        assert look(source, store) == (f"{DENIED}: 403 Forbidden", 20), "as long as it was not looked at again"
    assert look(objects.ObjectSource("s3://logs/day/*"), store) == ("", 30)


def test_a_known_object_that_nobody_may_read_any_more_is_held(
    bucket: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        put(bucket, f"day/{name}.jsonl", compact(10))
    source = objects.ObjectSource("s3://logs/day/*")
    with monkeypatch.context() as patch:
        patch.setattr(objects, "LIST_SECONDS", 0.0)
        assert look(source, store) == ("", 20)
        with store.write() as tx:
            tx.script("UPDATE generations SET inode = 'another time'")
        put(bucket, "day/c.jsonl", compact(10))
        deny(patch, forbidden)
        assert look(source, store) == (f"{DENIED}: 403 Forbidden", 30)
    assert look(objects.ObjectSource("s3://logs/day/*"), store) == ("", 30)


def test_a_store_that_answers_no_more_is_not_asked_for_each_object(
    bucket: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "bcd":
        put(bucket, f"day/{name}.jsonl", compact(10))
    asked: list[int] = []
    over = threading.Event()
    deny(monkeypatch, lambda: (asked.append(1), over.wait(60))[1])
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 5.0)  # a listing has as long, on a busy machine too
    source = objects.ObjectSource("s3://logs/day/*")
    for _ in range(3):
        assert look(source, store) == (f"{DENIED}: no answer within 5 s", 0)
    assert asked == [1]
    over.set()


def test_objects_that_never_answer_keep_no_other_for_longer_than_a_look_each(
    bucket: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a server that says 503 of some for ever, which its client asks again and again."""
    for name in "abcde":
        put(bucket, f"day/{name}.jsonl", compact(10))
    ask, silent = FileSystems.checksum, {"s3://logs/day/b.jsonl", "s3://logs/day/d.jsonl"}

    def checksum(path: str) -> Any:
        if path in silent:
            raise objects._Silence(f"{path}: no answer within 20 s")  # as the test above has it, but at once
        return ask(path)

    monkeypatch.setattr(FileSystems, "checksum", checksum)
    monkeypatch.setattr(objects, "LIST_SECONDS", 0.0)
    monkeypatch.setattr(objects, "REST_SECONDS", 0.0)
    source = objects.ObjectSource("s3://logs/day/*")
    assert [look(source, store)[1] for _ in range(3)] == [10, 20, 30]
    put(bucket, "day/f.jsonl", compact(10))
    assert look(source, store) == ("s3://logs/day/d.jsonl: no answer within 20 s", 40)
    silent.remove("s3://logs/day/d.jsonl")
    assert look(source, store) == ("s3://logs/day/b.jsonl: no answer within 20 s", 40)
    assert look(source, store)[1] == 50, "of those that did not answer each has its turn"
    silent.clear()
    assert look(source, store) == ("", 60)


def test_what_is_not_installed_or_not_known_is_said_before_the_job_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected s3://… or gs://…"):
        objects.check("ftp://logs/*")
    monkeypatch.setitem(objects._EXTRAS, "s3", ("no_such_client", "s3"))
    with pytest.raises(ConfigError, match=r"pip install 'tidegauge\[s3\]'"):
        objects.check("s3://logs/*")


def test_a_configured_pattern_is_not_taken_for_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 's3://logs/*.jsonl'}]\n")
    assert load(tmp_path / "tidegauge.yaml", {}).sources[0].files == "s3://logs/*.jsonl"
