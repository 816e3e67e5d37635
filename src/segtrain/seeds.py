"""Random numbers from one place: each is a function of the seed and of what it is for."""

import numpy as np


def seed_for(seed: int, *keys: int) -> int:
    """The seed of torch's generators for one step: `seed_for(seed, step, rank)`."""
    return hash((seed, *keys))


def rng_for(seed: int, *keys: int) -> np.random.Generator:
    """NumPy's generator for one purpose: `rng_for(seed, epoch)`."""
    return np.random.default_rng([seed, *keys])
