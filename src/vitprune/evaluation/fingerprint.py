"""A short hash of the weights of a model."""

import hashlib

import torch
from torch import nn


def fingerprint(model: nn.Module) -> str:
    """Return a short hash of the parameters and buffers of a model."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().flatten().view(torch.uint8).numpy())  # numpy has no bfloat16
    return digest.hexdigest()
