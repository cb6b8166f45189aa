"""Checkpoints as plain dictionaries, to compare what two runs have saved."""

import torch


def read_raw(path):
    """Return the content of a checkpoint as Lightning saved it."""
    return torch.load(path, map_location="cpu", weights_only=True)
