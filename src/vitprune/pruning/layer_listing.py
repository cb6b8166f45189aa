"""Lists of layers for messages."""

import re
from collections.abc import Mapping, Sequence

from vitprune.model.anatomy.layers import Layer

MOST = 5  # names in one line


def shortened(names: Sequence[str]) -> str:
    """Join names to a list of the first of them and the number of the others."""
    more = [f"{len(names) - MOST} more"] if len(names) > MOST else []
    return ", ".join([*names[:MOST], *more])


def without_number(name: str) -> str:
    """Return the name of a layer of a block with `*` instead of the block's number."""
    return re.sub(r"\.\d+(?=\.)", ".*", name)


def listing(layers: Sequence[Layer], obstacles: Mapping[str, str] | None = None) -> str:
    """List all layers, one line for those of the same role in different blocks.

    Args:
        layers: The layers.
        obstacles: Why other weights cannot be pruned, by name (see `find_obstacles`).

    """
    blocks: dict[tuple[str, str], list[int]] = {}
    for layer in layers:
        name = layer.name if layer.block is None else without_number(layer.name)
        found = blocks.setdefault((name, layer.role), [])
        if layer.block is not None:
            found.append(layer.block)
    lines = [_line(name, role, found) for (name, role), found in blocks.items()]
    others = {without_number(name): reason for name, reason in (obstacles or {}).items()}
    lines += [f"  {name}  (cannot be pruned: {reason})" for name, reason in others.items()]
    return "\n".join(lines) or "  no linear or convolutional layer"


def _line(name: str, role: str, blocks: Sequence[int]) -> str:
    where = f", blocks {min(blocks)} to {max(blocks)}" if blocks else ""
    return f"  {name}  (role {role}{where})"
