"""Granularities that couple several layers of a block, so that what falls can really be cut out afterwards."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning.granularity import Granularity, by_column, by_row
from vitprune.pruning.layer_selection import listing
from vitprune.pruning.units import Part, Unit

ATTENTION = ("query", "key", "value", "attn_out")
MLP = ("mlp_in", "mlp_out")


class Coupled(Granularity):
    """A granularity whose groups span layers of one block.

    Args:
        round_to: Every layer keeps a multiple of this number of groups; it must divide them.
        uniform: Keep the same number in every layer, so that plain `transformers` loads the shrunk model.

    """

    def __init__(self, round_to: int = 1, uniform: bool = False) -> None:
        if round_to < 1:
            raise UsageError(f"round_to must be at least 1, not {round_to}.")
        self.round_to, self.uniform = round_to, uniform

    @abstractmethod
    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """Return the units of complete blocks."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """Return one or two units for each block."""
        units = self.couple(layers)
        sizes = {unit.groups // unit.pools for unit in units}
        if self.uniform and len(sizes) > 1:
            raise UsageError(f"{self} needs as many groups in every layer, and they have {sorted(sizes)}.")
        return units

    def unit(
        self, layers: Sequence[Layer], views: Sequence[Callable[[Tensor], Tensor]], groups: int, heads: int | None = None
    ) -> Unit:
        """Build the unit of some layers with these views; `groups` of each of the `heads`, if they are told apart."""
        if groups % self.round_to:
            raise UsageError(f"round_to {self.round_to} does not divide the {groups} groups of {layers[0].name}.")
        return Unit(
            tuple(Part(layer, view) for layer, view in zip(layers, views, strict=True)),
            group_dims=2 if heads else 1,
            pools=heads or 1,
            round_to=self.round_to,
            survivors=1,
            tie=type(self).__name__ if self.uniform else None,
        )


class Neuron(Coupled):
    """A hidden unit of an MLP: its row of mlp_in and its column of mlp_out. One neuron at least survives in each MLP.

    Source: Srinivas and Babu 2015; McCarley et al. 2019 for transformers.
    """

    roles = MLP

    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """(neurons,) for each block."""
        return [self.unit(pair, (by_row, by_column), pair[0].shape[0]) for pair in by_block(layers, self)]


class Head(Coupled):
    """An attention head: its rows of query, key and value and its columns of attn_out. One at least survives in each block.

    Source: Michel et al. 2019; Voita et al. 2019.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """(heads,) for each block."""
        units = []
        for four in by_block(layers, self):
            heads = heads_of(four[0], self)
            rows, columns = partial(_head_rows, heads=heads), partial(_head_columns, heads=heads)
            units.append(self.unit(four, (rows, rows, rows, columns), heads))
        return units


class HeadDim(Coupled):
    """One dimension of a head: a row of query and of key, or a row of value and a column of attn_out.

    Every head of a layer loses the same number of each kind; which ones is up to the head. With `uniform` as many
    query/key dimensions fall as value dimensions, in every layer. Source: Zhu et al. 2021; Yang et al. 2023.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """(heads, dimensions) for query and key, and again for value and attn_out, for each block."""
        units = []
        for query, key, value, attn_out in by_block(layers, self):
            heads = heads_of(query, self)
            rows, columns = partial(_head_rows, heads=heads), partial(_head_columns, heads=heads)
            dims = query.shape[0] // heads
            units.append(self.unit((query, key), (rows, rows), dims, heads))
            units.append(self.unit((value, attn_out), (rows, columns), dims, heads))
        return units


class Branch(Granularity):
    """The attention or the MLP branch of a whole layer: attn_out or mlp_out with its bias, so that it adds nothing any more.

    Source: Fan et al. 2020, who drop whole layers.
    """

    roles = ("attn_out", "mlp_out")
    ranked_together = True

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(1,) for each branch."""
        _only(layers, self)
        return [Unit((Part(layer, _whole),), biases=(layer,) if layer.has_bias else ()) for layer in layers]


class Combined(Granularity):
    """Several granularities at once, each for the layers of its roles: heads and neurons, for example.

    Args:
        granularities: Their roles must not overlap.

    """

    def __init__(self, granularities: list[Granularity]) -> None:
        self.granularities = list(granularities)
        roles = [role for granularity in granularities for role in granularity.roles or ()]
        if not all(granularity.roles for granularity in granularities) or len(roles) != len(set(roles)) or not roles:
            raise UsageError("Combined needs granularities with roles of their own (Neuron, Head, HeadDim), each role once.")
        self.roles = tuple(roles)
        self.ranked_together = any(granularity.ranked_together for granularity in granularities)

    def check_sparsity(self, final_sparsity: float) -> None:
        """Raise `UsageError` if one of them cannot reach a sparsity."""
        for granularity in self.granularities:
            granularity.check_sparsity(final_sparsity)

    def check(self, layers: Sequence[Layer]) -> None:
        """Each of them must have something to prune."""
        for granularity in self.granularities:
            if not _of(granularity, layers):
                raise UsageError(
                    f"{granularity} of Combined prunes {', '.join(granularity.roles or ())}, and no such layer is selected:\n"
                    f"{listing(layers)}"
                )

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """All units of all of them."""
        _only(layers, self)
        units = []
        for granularity in self.granularities:
            units += granularity.units(_of(granularity, layers))
        return units


def by_block(layers: Sequence[Layer], granularity: Granularity) -> list[list[Layer]]:
    """Collect the layers of each block in the order of the granularity's roles.

    Raises:
        UsageError: If a layer has another role, or a block lacks one of the roles.

    """
    _only(layers, granularity)
    roles, blocks = granularity.roles or (), dict[int | None, dict[str, Layer]]()
    for layer in layers:
        other = blocks.setdefault(layer.block, {}).setdefault(layer.role, layer)
        if other is not layer:
            raise UsageError(
                f"{granularity} needs one {layer.role} in each block, and here are {other.name} and {layer.name}: leave one "
                "out by pruning.layers.exclude."
            )
    for block, found in blocks.items():
        missing = [role for role in roles if role not in found]
        if missing:
            raise UsageError(f"{granularity} prunes {', '.join(roles)} together, but block {block} lacks {', '.join(missing)}.")
    return [[found[role] for role in roles] for found in blocks.values()]


def _of(granularity: Granularity, layers: Sequence[Layer]) -> list[Layer]:
    return [layer for layer in layers if layer.role in (granularity.roles or ())]


def _only(layers: Sequence[Layer], granularity: Granularity) -> None:
    for layer in layers:
        if layer.role not in (granularity.roles or ()):
            raise UsageError(
                f"{granularity} prunes {', '.join(granularity.roles or ())}; {layer.name} has the role {layer.role}. "
                "Leave pruning.layers.roles away to select what it prunes."
            )


def heads_of(layer: Layer, granularity: Granularity) -> int:
    """Return the number of heads that a query, key or value layer computes.

    Raises:
        UsageError: If the model does not say, or they do not divide its outputs.

    """
    if layer.heads is None or layer.shape[0] % layer.heads:
        raise UsageError(f"{granularity} needs attention heads, and {layer.name} has none that divide its outputs.")
    return layer.heads


def _head_rows(tensor: Tensor, heads: int) -> Tensor:
    return tensor.view(heads, -1, tensor.shape[1])  # (heads * dims, in) -> (heads, dims, in)


def _head_columns(tensor: Tensor, heads: int) -> Tensor:
    return tensor.view(len(tensor), heads, -1).permute(1, 2, 0)  # (out, heads * dims) -> (heads, dims, out)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0)  # (1, out, in)
