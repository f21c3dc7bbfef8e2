"""What a job pays to be looked at: the notes of a tick, the measures of a heartbeat, and a reading of the flow.

    python benchmarks/telemetry.py [--postgresql postgresql://HOST/NAME] [--places 100] [--samples 50000]

Milliseconds of wall time, medians of 50, in a store with so many pending samples and so many places behind. With a
PostgreSQL server a schema of its own is made there, and dropped. Prints one JSON object for each store.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable

import msgspec

from tests.conftest import drop_schema, postgresql_schema
from tests.service.world import NOW, ingest, request
from tidegauge.storage import flow
from tidegauge.storage.flow import BOUNDS, KINDS, Gap, Look, Use
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

ROUNDS = 50


def milliseconds(work: Callable[[int], object]) -> float:
    taken = []
    for n in range(ROUNDS):
        began = time.perf_counter()
        work(n)
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1000, 3)


def measure(url: str, places: int, samples: int) -> dict[str, object]:
    store = Store(url)
    migrate(store)
    with store.write() as tx:
        ingest(tx, (msgspec.structs.replace(request(n), intent=f"i{n % 20}") for n in range(samples)))
    gaps = [Gap(f"topic/{n}", n, "offsets") for n in range(places)]
    rows = [
        {"kind": kind, "bucket": bucket, "observations": 1, "total": 1, "units": 1}
        for kind in KINDS
        for bucket in range(0, len(BOUNDS), 3)
    ]

    def tick(n: int, with_lag: bool) -> None:
        with store.write() as tx:
            flow.note_tick(tx, Look("j", 1.0, 0.1, {}), NOW + n)
            if with_lag:
                flow.note_lag(tx, "kafka:g", gaps, NOW + n)

    def beat(_: int) -> None:
        with store.write() as tx:
            flow.note_use(tx, "me", Use(10, 64))
            flow.add_timings(tx, rows)

    def read(n: int) -> None:
        with store.read() as tx:
            flow.flow(tx, NOW + n)

    found = {
        "store": store.dialect,
        "tick_ms": milliseconds(lambda n: tick(n, False)),
        "tick_with_lag_ms": milliseconds(lambda n: tick(n, True)),
        "heartbeat_ms": milliseconds(beat),
        "read_ms": milliseconds(read),
    }
    store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--places", type=int, default=100)
    parser.add_argument("--samples", type=int, default=50_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(f"sqlite:///{folder}/s.db", given.places, given.samples)))
    if given.postgresql:
        url = postgresql_schema(given.postgresql)
        print(json.dumps(measure(url, given.places, given.samples)))
        drop_schema(url)


if __name__ == "__main__":
    main()
