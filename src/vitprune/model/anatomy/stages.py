"""The stages of a transformer in the order in which they run: embeddings, then blocks."""

import re
from collections.abc import Iterable

from torch import nn

from vitprune.model.anatomy.layers import Layer, block_names

EMBEDDINGS_PATTERN = re.compile(r"(?:^|\.)embeddings\.$")


def find_stages(model: nn.Module) -> dict[str, nn.Module]:
    """Return the embeddings and the blocks of a transformer by name, in their order."""
    names = [f"{name}." for name, _ in model.named_modules()]
    embeddings = [name for name in names if EMBEDDINGS_PATTERN.search(name)]
    blocks = [f"{name}." for name in block_names(model)]
    return {name: model.get_submodule(name[:-1]) for name in (*embeddings[:1], *blocks)}


def stages_before(layer: Layer, stages: Iterable[str]) -> int:
    """Return how many stages (see `find_stages`) run before a layer and do not depend on it."""
    names = list(stages)
    if layer.role == "classifier":
        return len(names)
    return next((index for index, name in enumerate(names) if layer.name.startswith(name)), 0)
