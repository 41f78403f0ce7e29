"""Values of many lengths, made once, so that a load makes no large objects of its own."""

from __future__ import annotations

import random
from math import exp, log

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Values:
    """`count` values of different lengths up to `longest`, shortest first, log-uniform."""

    def __init__(self, rng: random.Random, count: int, longest: int) -> None:
        lengths = {1, longest}
        while len(lengths) < count:
            lengths.add(int(exp(rng.uniform(0, log(longest)))))
        self.lengths = np.array(sorted(lengths))
        self.values = [b"v" * length for length in sorted(lengths)]

    def __len__(self) -> int:
        return len(self.values)

    def up_to(self, length: float) -> int:
        """How many values are no longer than this, at least 1."""
        return max(1, int(np.searchsorted(self.lengths, length, "right")))

    def at(self, indices: Indices) -> list[bytes]:
        return [self.values[i] for i in indices.tolist()]
