"""Beam options from the configuration; what is not there is said with how to get it."""

import socket
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from pipelines import runners
from tests.distributed.streaming import Stream, wait_for
from tests.engines import engines
from tidegauge.config import FlinkSection, PrismSection, StreamSection
from tidegauge.errors import UsageError


def _options(runner: str, section: StreamSection, further: Sequence[str] = ()) -> list[str]:
    with runners.options(runner, section, further) as options:
        return options


def test_prism_that_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=r"no such program at PATH.*tidegauge engine install prism"):
        _options("prism", StreamSection())
    with pytest.raises(UsageError, match=r"/opt/prism.*stream\.prism\.location"):
        _options("prism", StreamSection(prism=PrismSection(location="/opt/prism")))


def test_prism_lives_as_long_as_its_context() -> None:
    section = StreamSection(prism=PrismSection(location=str(engines("prism") / "prism")))
    with runners.options("prism", section) as options:
        endpoint = next(o.partition("=")[2] for o in options if o.startswith("--job_endpoint="))
        host, _, port = endpoint.partition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        assert "--environment_type=LOOPBACK" in options
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=5)


def test_flink_without_a_job_server_says_which_setting_names_it() -> None:
    with pytest.raises(UsageError, match=r"no job server of Beam at 127.0.0.1:9 .*stream\.flink\.job_endpoint"):
        _options("flink", StreamSection(flink=FlinkSection(job_endpoint="127.0.0.1:9")))
    with pytest.raises(UsageError, match=r"stream\.flink\.job_endpoint"):
        _options("flink", StreamSection(flink=FlinkSection(job_endpoint="nonsense")))


def test_flink_gets_what_the_configuration_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        section = FlinkSection(
            job_endpoint=f"127.0.0.1:{server.getsockname()[1]}",
            artifact_endpoint="127.0.0.1:8098",
            parallelism=3,
            checkpoint_seconds=2.5,
            environment="external",
            environment_config="127.0.0.1:8500",
        )
        with runners.options("flink", StreamSection(flink=section, options=("--parallelism=5",)), ["--x=y"]) as options:
            wanted = {
                f"--job_endpoint={section.job_endpoint}",
                "--artifact_endpoint=127.0.0.1:8098",
                "--environment_type=EXTERNAL",
                "--environment_config=127.0.0.1:8500",
                "--parallelism=3",
                "--sdk_worker_parallelism=3",
                "--checkpointing_interval=2500",
                "--finish_bundle_before_checkpointing",
            }
            assert wanted <= set(options)
            assert options[-2:] == ["--parallelism=5", "--x=y"]  # later ones win


def test_other_runners_are_beams_own() -> None:
    assert _options("dataflow", StreamSection(), ["--region=x"])[0] == "--runner=DataflowRunner"
    assert _options("SparkRunner", StreamSection(options=("--a=b",))) == [
        "--runner=SparkRunner",
        "--streaming",
        "--a=b",
    ]
    assert _options("ours.runners.Fast", StreamSection())[0] == "--runner=ours.runners.Fast"


def test_a_runner_that_beam_does_not_know_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match=r"Beam has no flnk; did you mean flink\?"):
        _options("flnk", StreamSection())
    with pytest.raises(UsageError, match="Beam has no xyz; write prism, flink, dataflow"):
        _options("xyz", StreamSection())


def test_prism_ends_with_a_stream_that_is_killed(tmp_path: Path) -> None:
    section = {"prism": {"location": str(engines("prism") / "prism")}}
    (tmp_path / "log.jsonl").write_bytes(b"")
    config = {"sources": [{"files": f"{tmp_path}/log.jsonl"}], "stream": section}
    with Stream(tmp_path / "stream", "prism", f"sqlite:///{tmp_path}/store.db", config) as stream:
        wait_for(lambda: "running: " in stream.log.read_text() or not stream.alive(), 120, "submission")
        everybody = psutil.Process(stream.pid).children(recursive=True)
        assert "prism" in {process.name() for process in everybody}
        stream.kill()
    _, left = psutil.wait_procs(everybody, timeout=15)
    assert not left
