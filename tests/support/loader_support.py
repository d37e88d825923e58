"""Datasets and samplers for the tests of resuming."""

from __future__ import annotations

import random

import numpy as np

import minigrad
from minigrad.utils.data import (
    Dataset,
    Sampler,
)


def seeded(seed):
    return minigrad.Generator().manual_seed(seed)


N = 48


SHUFFLE = {
    "minigrad": lambda n: minigrad.randperm(n).tolist(),
    "numpy": lambda n: np.random.permutation(n).tolist(),
    "python": lambda n: random.sample(range(n), n),
}


class Numbers(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return i


class AtOnce(Sampler):
    def __init__(self, source):
        self.shuffle = SHUFFLE[source]

    def __iter__(self):
        return iter(self.shuffle(N))

    def __len__(self):
        return N


class Late(AtOnce):
    def __iter__(self):
        yield from self.shuffle(N)
