"""Layer selection: which layers are pruned."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import ROLES, Layer, find_layers
from vitprune.runs.plain_values import plain

NOT_BY_DEFAULT = ("patch_embed", "classifier")


class LayerSelection:
    """Layers to prune, by role, block and name.

    Args:
        roles: Roles to prune: query, key, value, attn_out, mlp_in, mlp_out, patch_embed,
            classifier, other. By default those of the granularity if it has some; else all but
            patch_embed and classifier; all if `names` is set.
        blocks: Transformer blocks to prune, counted from 0 through all stages, or from the end as
            -1, -2, ...; by default all, and layers outside of the blocks.
        skip_blocks: Transformer blocks not to prune.
        names: Patterns of names to prune (`*` stands for anything). A frozen weight is pruned only
            if it is named here.
        exclude: Patterns of names not to prune.

    """

    def __init__(
        self,
        roles: list[str] | None = None,
        blocks: list[int] | None = None,
        skip_blocks: list[int] | None = None,
        names: list[str] | None = None,
        exclude: list[str] | None = None,
    ) -> None:
        self.roles: list[str] | None = plain(roles)
        self.blocks: list[int] | None = plain(blocks)
        self.skip_blocks: list[int] = plain(skip_blocks) or []
        self.names: list[str] | None = plain(names)
        self.exclude: list[str] = plain(exclude) or []
        unknown = sorted(set(self.roles or []) - set(ROLES))
        if unknown:
            raise UsageError(f"unknown roles {unknown}; valid are {', '.join(ROLES)}.")

    def select(self, model: nn.Module, roles: Sequence[str] | None = None) -> list[Layer]:
        """Return the chosen layers of a model, in its order.

        Args:
            model: Model with linear and convolutional layers.
            roles: The roles to prune if the selection names none.

        Raises:
            UsageError: If a block, a pattern or the whole selection matches nothing; the message
                lists what exists.

        """
        layers = find_layers(model)
        chosen = self._by_role(layers, roles)
        chosen = self._by_block(chosen, layers)
        chosen = self._by_name(chosen, layers)
        if not chosen:
            raise UsageError(
                f"the layer selection matches nothing. The model has:\n{listing(layers)}"
            )
        return chosen

    def _by_role(self, layers: Sequence[Layer], default: Sequence[str] | None) -> list[Layer]:
        roles = default if self.roles is None else self.roles
        if roles is not None:
            return [layer for layer in layers if layer.role in roles]
        return [layer for layer in layers if self.names or layer.role not in NOT_BY_DEFAULT]

    def _by_block(self, chosen: Sequence[Layer], layers: Sequence[Layer]) -> list[Layer]:
        count = max((layer.block for layer in layers if layer.block is not None), default=-1) + 1
        wanted = None if self.blocks is None else _resolve_blocks(self.blocks, count, "blocks")
        skipped = _resolve_blocks(self.skip_blocks, count, "skip_blocks")
        return [
            layer
            for layer in chosen
            if (wanted is None or layer.block in wanted) and layer.block not in skipped
        ]

    def _by_name(self, chosen: Sequence[Layer], layers: Sequence[Layer]) -> list[Layer]:
        for pattern in [*(self.names or []), *self.exclude]:
            if not any(fnmatchcase(layer.name, pattern) for layer in layers):
                raise UsageError(
                    f"the pattern {pattern!r} matches no layer. The model has:\n{listing(layers)}"
                )
        if self.names is None:
            chosen = [layer for layer in chosen if _trainable(layer)]
        else:
            chosen = [layer for layer in chosen if _matches(layer, self.names)]
        return [layer for layer in chosen if not _matches(layer, self.exclude)]


def _trainable(layer: Layer) -> bool:
    return any(
        parameter.requires_grad
        for name, parameter in layer.module.named_parameters()
        if "weight" in name
    )


def _matches(layer: Layer, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(layer.name, pattern) for pattern in patterns)


def _resolve_blocks(blocks: Sequence[int], count: int, option: str) -> set[int]:
    for block in blocks:
        if not -count <= block < count:
            raise UsageError(
                f"{option} names block {block}, and the model has the blocks 0 to {count - 1}."
            )
    return {block % count for block in blocks}


def listing(layers: Sequence[Layer]) -> str:
    """List all layers, one line for those of the same role in different blocks."""
    blocks: dict[tuple[str, str], list[int]] = {}
    for layer in layers:
        name = layer.name if layer.block is None else re.sub(r"\.\d+(?=\.)", ".*", layer.name)
        found = blocks.setdefault((name, layer.role), [])
        if layer.block is not None:
            found.append(layer.block)
    return "\n".join(_line(name, role, found) for (name, role), found in blocks.items())


def _line(name: str, role: str, blocks: Sequence[int]) -> str:
    where = f", blocks {min(blocks)} to {max(blocks)}" if blocks else ""
    return f"  {name}  (role {role}{where})"
