"""One Kafka broker that is its own controller (KRaft), on loopback and without authentication."""

import base64
import subprocess
import uuid
from pathlib import Path

from tidegauge.engine.processes import Process, Up, class_path, java, listens, up, wait_until
from tidegauge.errors import EngineError

PORT = 29092
_READY_SECONDS = 180.0

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "num.partitions": "3",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "message.max.bytes": "10485760",
    "log.segment.delete.delay.ms": "1000",
    "log.retention.check.interval.ms": "1000",
    "log.cleaner.backoff.ms": "500",
}
"""Those of a single node; deletion and compaction come soon, so that tests can see them."""


class Kafka:
    """`directory` is where `install` has put it; data, log and process id are under `work`, which stays."""

    def __init__(self, directory: Path, port: int = PORT, work: Path | None = None) -> None:
        self._lib = directory.resolve() / "kafka" / "lib"
        self._work = (work or directory / "kafka" / "work").resolve()
        self._port = port
        self._broker = Process("kafka", self._work)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it takes connections. Its data of last time are there again. Raises EngineError."""
        path = class_path(self._lib, "kafka")
        self._work.mkdir(parents=True, exist_ok=True)
        settings = self._write_settings()
        if not (self._work / "data" / "meta.properties").exists():
            self._format(path, settings)
        heap = ["-Xmx512m", "-XX:+UseSerialGC"]
        self._broker.start([java(), *heap, "-cp", path, "kafka.Kafka", str(settings)])
        wait_until(lambda: listens(self._port), self._broker, _READY_SECONDS)

    def stop(self) -> bool:
        return self._broker.stop()

    def kill(self) -> bool:
        return self._broker.kill()

    def status(self) -> list[Up]:
        return up([self._broker])

    def _write_settings(self) -> Path:
        clients, controller = f"PLAINTEXT://{self.bootstrap}", f"CONTROLLER://127.0.0.1:{self._port + 1}"
        settings = _SETTINGS | {
            "listeners": f"{clients},{controller}",
            "advertised.listeners": clients,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._port + 1}",
            "log.dirs": str(self._work / "data"),
        }
        file = self._work / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return file

    def _format(self, path: str, settings: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [
            java(),
            "-cp",
            path,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster}",
            "-c",
            str(settings),
        ]
        done = subprocess.run([*command, "--standalone"], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise EngineError(f"kafka storage: {(done.stdout + done.stderr).strip()}")
