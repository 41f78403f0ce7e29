"""The few distributions that decide how full buckets and tables get."""

from __future__ import annotations

import math
from collections.abc import Iterator

UNUSUAL = 2.33  # standard deviations that one normal variable in a hundred exceeds
_FAR = 9.0  # standard deviations beyond which a tail is nothing
_FEW = 30


def binomial(n: int, p: float) -> Iterator[float]:
    """P(X = 0), P(X = 1), ... for X ~ Bin(n, p), until nothing that counts is left; O(np) terms in all."""
    if p >= 1:
        yield from [0.0] * n + [1.0]
        return
    chance = math.exp(n * math.log1p(-p))
    odds, last = p / (1 - p), n * p + _FAR * math.sqrt(n * p + 1) + 2 * _FAR
    for k in range(min(n, int(last)) + 1):
        yield chance
        chance *= odds * (n - k) / (k + 1)


def binomial_tail(n: int, p: float, k: int) -> float:
    """P(X >= k) for X ~ Bin(n, p); O(1), by Edgeworth's expansion (good to 1e-4 for np = 100)."""
    if p >= 1 or n < k:
        return float(n >= k)
    sigma = math.sqrt(n * p * (1 - p))
    z = (k - 0.5 - n * p) / sigma
    if abs(z) > _FAR:
        return float(z < 0)
    skew = (1 - 2 * p) / sigma
    tail = 0.5 * math.erfc(z / math.sqrt(2)) + skew / 6 * (z * z - 1) * _density(z)
    return min(1.0, max(0.0, tail))


def unusual_share(n: int, p: float) -> float:
    """X / n for the X that Bin(n, p) exceeds once in a hundred; O(1)."""
    if n > _FEW:
        return min(1.0, p + UNUSUAL * math.sqrt(p * (1 - p) / n) + 0.5 / n)
    total = 0.0
    for k, chance in enumerate(binomial(n, min(p, 1 - 1e-9))):
        total += chance
        if total >= 0.99:
            return k / n
    return 1.0


def expected_excess(mean: float, variance: float, limit: float) -> float:
    """E[max(0, X - limit)] for a sum X of many small parts (normal); O(1)."""
    if variance <= 0:
        return max(0.0, mean - limit)
    sigma = math.sqrt(variance)
    z = (mean - limit) / sigma
    return (mean - limit) * 0.5 * math.erfc(-z / math.sqrt(2)) + sigma * _density(z)


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
