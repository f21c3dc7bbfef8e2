"""Four weeks of releases as numbers: which part of the tuple went bad, or what else happened, is known."""

from dataclasses import dataclass

import numpy as np

from tidegauge.slo.attribution import PARTS, History
from tidegauge.slo.policy import review_probability, solve_k

BLOCKS = 112
TENANTS = np.array([0.4, 0.3, 0.2, 0.1])
HARD = np.array([0.5, 0.8, 1.0, 3.5])
"""Rate of each tenant over the overall one, at the usual mix."""


@dataclass(frozen=True)
class Story:
    """`bad_parts` turned bad at release `at`; empty: nothing did. The judge errs, and reviews follow what it says."""

    deployments: list[tuple[str, str, str]]
    starts: list[int]
    bad_parts: tuple[str, ...] = ()
    at: int = 0
    base: float = 0.02
    bad: float = 0.08
    tenant: int | None = None
    drift: bool = False
    mix_moves: int | None = None
    """Block from which on the last tenant, the hardest, has most of the traffic."""
    judged_per_day: int = 200
    labels_per_day: int = 20


@dataclass(frozen=True)
class Items:
    """One row an item."""

    deployment: np.ndarray
    block: np.ndarray
    tenant: np.ndarray
    flagged: np.ndarray
    pi: np.ndarray
    reviewed: np.ndarray
    y: np.ndarray


def releases(rng: np.random.Generator, count: int, changes: list[tuple[str, ...]]) -> tuple[list, list[int]]:
    """Deployments of which each changes the named parts of the one before, four to seven days apart."""
    versions = dict.fromkeys(PARTS, 1)
    deployments, starts = [tuple(f"{part[0]}-1" for part in PARTS)], [0]
    cuts = np.linspace(0, BLOCKS, count + 1)[1:-1] + rng.uniform(-4, 4, count - 1)
    for cut, parts in zip(cuts, changes, strict=True):
        for part in parts:
            versions[part] += 1
        deployments.append(tuple(f"{part[0]}-{versions[part]}" for part in PARTS))
        starts.append(int(cut))
    return deployments, starts


def story(kind: str, rng: np.random.Generator, **changes) -> Story:
    """A random history of a kind: single, joint, mix, tenant, drift or none."""
    count = int(rng.integers(4, 7))
    parts = [(PARTS[p],) for p in rng.permutation(np.arange(count - 1) % 3)]
    at = int(rng.integers(1, count))
    if kind == "joint":
        both = tuple(rng.choice(PARTS, 2, replace=False))
        parts[at - 1] = both
        # Neither part moves alone later, or the history would tell them apart.
        rest = next(p for p in PARTS if p not in both)
        parts[at:] = [(rest,)] * (count - 1 - at)
    deployments, starts = releases(rng, count, parts)
    bad = parts[at - 1] if kind in ("single", "joint", "tenant") else ()
    if bad:
        # The suspect is the last deployment that still has the bad part.
        last = max(
            d
            for d in range(count)
            if all(deployments[d][PARTS.index(p)] == deployments[at][PARTS.index(p)] for p in bad)
        )
        deployments, starts = deployments[: last + 1], starts[: last + 1]
    extra = {"tenant": int(rng.integers(1, 4)), "bad": 0.08} if kind == "tenant" else {}
    if kind == "mix":
        extra = {"mix_moves": int(rng.integers(BLOCKS // 3, 3 * BLOCKS // 4)), "base": 0.012}
    return Story(deployments, starts, bad, at, drift=kind == "drift", **{**extra, **changes})


def items(told: Story, rng: np.random.Generator) -> Items:
    n = BLOCKS * told.judged_per_day // 4
    block = np.arange(n) * 4 // told.judged_per_day
    deployment = np.searchsorted(told.starts, block, side="right") - 1
    shares = np.tile(TENANTS, (n, 1))
    if told.mix_moves is not None:
        shares[block >= told.mix_moves] = [0.1, 0.1, 0.1, 0.7]
    tenant = (rng.random(n)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, 3)
    rate = told.base * HARD[tenant] / float(TENANTS @ HARD)
    if told.drift:
        rate = rate * np.exp(np.log(told.bad / told.base) * block / BLOCKS)
    elif told.bad_parts:
        having = np.array(
            [
                all(d[PARTS.index(p)] == told.deployments[told.at][PARTS.index(p)] for p in told.bad_parts)
                for d in told.deployments
            ]
        )[deployment]
        if told.tenant is None:
            rate = np.where(having, rate * told.bad / told.base, rate)
        else:
            rate = np.where(
                having & (tenant == told.tenant), rate + (told.bad - told.base) / TENANTS[told.tenant], rate
            )
    y = (rng.random(n) < rate).astype(int)
    flagged = (rng.random(n) < np.where(y == 1, 0.75, 0.05)).astype(int)
    r = told.labels_per_day / told.judged_per_day
    f = [0.006, 0.25]
    k = solve_k(f, [0.93, 0.07], r)
    pi = np.array([review_probability(k, value, r) for value in f])[flagged]
    return Items(deployment, block, tenant, flagged, pi, rng.random(n) < pi, y)


def history(told: Story, made: Items) -> History:
    """The sums that the store would hold, by tenant."""
    mean = np.array([made.pi[made.flagged == b].mean() for b in (0, 1)])[made.flagged]
    weight = np.where(made.reviewed, made.y * mean / made.pi, 0.0)
    shape = (len(told.deployments), BLOCKS, len(TENANTS))
    found, exposure = np.zeros(shape), np.zeros(shape)
    place = (made.deployment, made.block, made.tenant)
    np.add.at(found, place, weight)
    np.add.at(exposure, place, 1.0)
    return History(told.deployments, found, exposure, max(float((weight**2).sum() / max(weight.sum(), 1e-9)), 1.0))
