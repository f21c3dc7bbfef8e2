"""False alarms and delays of the canary's guardrails, on simulated days with real arrival times.

    python benchmarks/canary.py [--traffic ../shared/data/traffic/FILE.jsonl.gz] [--canaries 1000]

Each canary gets 5 % of 100,000 requests a day, whose arrivals in five minutes are drawn from the trace. Within a
cluster requests fare alike: a load common to both arms raises latency and errors. Looked at every five minutes.
Without --traffic, bursts are log-normal. Prints one JSON object.
"""

import argparse
import gzip
import json
from datetime import datetime
from pathlib import Path

import numpy as np

from tidegauge.slo.canary import Counts, latency_worsening, share_worsening

CLUSTERS, REQUESTS, SHARE, ALPHA = 288, 100_000, 0.05, 0.001
VALUES = 1.02 ** np.arange(1, 700) * 10.0
LATENCY_MARGIN, SUCCESS_MARGIN = 120.0, 0.05


def arrivals(trace: Path | None, rng: np.random.Generator) -> np.ndarray:
    """Requests per cluster of a day."""
    if trace is None:
        weights = rng.lognormal(0, 0.8, CLUSTERS)
    else:
        with gzip.open(trace, "rt") as lines:
            times = [datetime.fromisoformat(json.loads(line)["timestamp"][:26]).timestamp() for line in lines]
        seconds = np.bincount((np.array(times) - min(times)).astype(int))
        pieces = seconds[: len(seconds) // 12 * 12].reshape(-1, 12).sum(axis=1)  # an hour of 12 s, stretched to a day
        weights = rng.permutation(pieces)[rng.integers(0, len(pieces), CLUSTERS)].astype(float) + 0.1
    return rng.multinomial(REQUESTS, weights / weights.sum())


def day(counts: np.ndarray, rng: np.random.Generator, slower: float, worse: float) -> tuple[int | None, int | None]:
    """The cluster in which each guardrail acted: (latency, success)."""
    load = np.clip(rng.normal(0, 0.15, CLUSTERS) + 0.1 * (counts > 2 * counts.mean()), -0.4, 0.8)
    mine = rng.binomial(counts, SHARE)
    arms = []
    for number, shift, drop in ((mine, slower, worse), (counts - mine, 0.0, 0.0)):
        where = np.repeat(np.arange(CLUSTERS), number)
        latency = np.exp(rng.normal(np.log(700), 0.5, len(where)) + load[where]) + shift
        failed = rng.random(len(where)) < np.clip(0.06 + 0.1 * load[where] + drop, 0, 1)
        histogram = np.zeros((CLUSTERS, len(VALUES)), dtype=np.int64)
        np.add.at(histogram, (where, np.searchsorted(VALUES, latency).clip(0, len(VALUES) - 1)), 1)
        arms.append((histogram, Counts(number, np.bincount(where, failed, CLUSTERS).astype(np.int64))))
    found: list[int | None] = [None, None]
    for now in range(24, CLUSTERS + 1, 4):
        (mine_hist, mine_counts), (their_hist, their_counts) = arms
        if found[0] is None:
            seen = latency_worsening(mine_hist[:now], their_hist[:now], VALUES, ALPHA / 3)
            found[0] = now if seen.beyond(LATENCY_MARGIN) else None
        if found[1] is None:
            cut = [Counts(c.requests[:now], c.bad[:now]) for c in (mine_counts, their_counts)]
            found[1] = now if share_worsening(*cut, ALPHA / 3).beyond(SUCCESS_MARGIN) else None
    return found[0], found[1]


def simulate(trace: Path | None, canaries: int, seed: int, slower: float, worse: float) -> dict[str, float | None]:
    rng = np.random.default_rng(seed)
    days = [day(arrivals(trace, rng), rng, slower, worse) for _ in range(canaries)]
    latency, success = ([d[place] for d in days] for place in (0, 1))
    hours = [[n / 12 for n in acted if n] for acted in (latency, success)]
    return {
        "canaries": canaries,
        "latency_acted": len(hours[0]) / canaries,
        "success_acted": len(hours[1]) / canaries,
        "latency_median_hours": float(np.median(hours[0])) if hours[0] else None,
        "success_median_hours": float(np.median(hours[1])) if hours[1] else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traffic", type=Path)
    parser.add_argument("--canaries", type=int, default=1000)
    options = parser.parse_args()
    worse = max(options.canaries // 10, 20)
    print(
        json.dumps(
            {
                "no_change": simulate(options.traffic, options.canaries, 1, 0.0, 0.0),
                "latency_120_ms": simulate(options.traffic, worse, 2, 120.0, 0.0),
                "success_5_points": simulate(options.traffic, worse, 3, 0.0, 0.05),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
