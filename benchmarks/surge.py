"""What surges gain, and what they cost: paired months with and without them, as JSON.

python benchmarks/surge.py [--runs 400] [--null-months 1000] [--out FILE]
"""

import argparse
import json
import sys
from math import isfinite
from pathlib import Path

import numpy as np

from tidegauge.slo import Rule
from tidegauge.slo.simulate import World, months
from tidegauge.slo.surge import bets_for

PLACES = [(200, 20), (200, 100), (2000, 20)]
LATER = [0.04, 0.06, 0.10]
DAYS = [0, 10]
NULLS = [(rate, judge) for rate in (0.01, 0.02, 0.029, 0.03) for judge in ((0.75, 0.95), (0.6, 0.9))]


def gain(judged: float, labels: float, later: float, day: int, runs: int) -> dict[str, float | int | None]:
    world = {"rate": 0.02, "rate_later": later, "changes_at": day, "judged_per_day": judged, "labels_per_day": labels}
    surging = months(World(**world, days=day + 45), Rule(0.03, bets=bets_for(labels / judged)), runs, seed=11)
    plain = months(World(**world, days=day + 45, surging=False), Rule(0.03), runs, seed=11)
    return {
        "judged_per_day": judged,
        "labels_per_day": labels,
        "rate": 0.02,
        "rate_later": later,
        "changes_on_day": day,
        "median_judged": surging.median if isfinite(surging.median) else None,
        "median_judged_plain": plain.median if isfinite(plain.median) else None,
        "ratio": surging.median / plain.median if isfinite(plain.median) else None,
        "runs": runs,
    }


def null(rate: float, judge: tuple[float, float], runs: int) -> dict[str, float | int]:
    world = World(rate=rate, sensitivity=judge[0], specificity=judge[1])
    found = months(world, Rule(0.03, bets=5), runs, seed=12)
    return {
        "rate": rate,
        "sensitivity": judge[0],
        "specificity": judge[1],
        "months": runs,
        "false_rollbacks": int(found.rolled_back.sum()),
        "labels_of_the_budget": float(np.mean(found.labels) / world.labels_per_day),
        "hours_in_a_surge": float(np.mean(found.surged)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--null-months", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = {
        "gains": [gain(*place, later, day, args.runs) for place in PLACES for later in LATER for day in DAYS],
        "nulls": [null(rate, judge, args.null_months) for rate, judge in NULLS],
    }
    text = json.dumps(found, indent=2)
    if args.out:
        args.out.write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
