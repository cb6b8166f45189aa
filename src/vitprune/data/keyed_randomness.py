"""Randomness that is a function of a key, whatever was drawn before."""

import torch


class KeyedRandomness:
    """Run a block with torch's CPU generator seeded by a key, then restore the generator.

    Args:
        seed: The key.

    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.state = torch.get_rng_state()
        torch.default_generator.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self.state)
