"""Released evaluators and rubrics: a version once used never changes its content."""

from typing import Protocol

from tidegauge.domain import Micros
from tidegauge.errors import ArtifactChanged
from tidegauge.storage.store import Store


class Artifact(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def content_hash(self) -> str: ...


def register(store: Store, artifacts: tuple[Artifact, ...], now: Micros) -> None:
    """Remembers what verdicts rest on. Raises ArtifactChanged, with both hashes."""
    with store.write() as tx:
        for a in artifacts:
            key = {"kind": a.kind, "name": a.name, "version": a.version}
            tx.run("register_artifact", **key, content_hash=a.content_hash, now=now)
            kept = tx.value("artifact_hash", **key)
            if kept != a.content_hash:
                raise ArtifactChanged(
                    f"{a.kind} {a.name}@{a.version}: its content changed under the same version "
                    f"({kept} in the store, {a.content_hash} here): release it under a new version"
                )
