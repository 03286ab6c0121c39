"""Seeds: the one place random numbers come from.

Every draw is seeded by (run seed, item id, stage), so a result depends on none of: the order of
the items, the number of workers, retries, or what ran before in the same process.
"""

import hashlib

import numpy as np


def seed_words(seed: int, item_id: str, stage: str) -> list[int]:
    """Eight 32-bit words that depend on all three parts and on nothing else."""
    digest = hashlib.sha256(f"{seed}\0{item_id}\0{stage}".encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]


def generator(seed: int, item_id: str, stage: str) -> np.random.Generator:
    """A NumPy generator of its own for one stage of one item of one run."""
    return np.random.default_rng(seed_words(seed, item_id, stage))
