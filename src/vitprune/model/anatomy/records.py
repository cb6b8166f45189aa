"""Records of the structure of a model: its attentions and MLPs, by the names of their layers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

Rotary = Literal["halves", "neighbours"]


@dataclass(frozen=True)
class Rows:
    """All outputs of a layer, or one of several equal parts, such as the queries of a qkv layer.

    Attributes:
        layer: Name of the layer.
        part: Number of the part, from 0.
        parts: Number of equal parts, one after the other.

    """

    layer: str
    part: int = 0
    parts: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """View these outputs of a tensor, (parts * rows, ...) -> (rows, ...)."""
        return tensor.unflatten(0, (self.parts, -1))[self.part]


@dataclass(frozen=True)
class Attention:
    """An attention branch.

    Attributes:
        name: Dotted name of its module.
        block: Number of its transformer block; None outside of the blocks.
        query: Outputs that are the queries, head after head.
        key: Outputs that are the keys.
        value: Outputs that are the values.
        output: Name of the layer that reads the heads.
        heads: Number of heads.
        rotary: How rotary embeddings pair the dimensions of a head: i with i + head_dim / 2, or
            each even dimension with the next; None without rotary embeddings.
        normed_scores: Whether queries or keys are normalised before their product.
        inner_norm: Whether all heads are normalised together before the output.

    """

    name: str
    block: int | None
    query: Rows
    key: Rows
    value: Rows
    output: str
    heads: int
    rotary: Rotary | None = None
    normed_scores: bool = False
    inner_norm: bool = False

    def __hash__(self) -> int:
        """Hash the name alone: dimensions of branches are looked up thousands of times a round."""
        return hash(self.name)

    @cached_property
    def roles(self) -> dict[str, str]:
        """The role of each layer, by name."""
        inputs = {"query": self.query, "key": self.key, "value": self.value}
        roles = {rows.layer: role if rows.parts == 1 else "qkv" for role, rows in inputs.items()}
        return {**roles, self.output: "attn_out"}


@dataclass(frozen=True)
class Mlp:
    """An MLP branch.

    Attributes:
        name: Dotted name of its module.
        block: Number of its transformer block; None outside of the blocks.
        up: Outputs that are the neurons.
        gate: Outputs that multiply the neurons; None without a gate.
        down: Name of the layer that reads the neurons.
        inner_norm: Whether all neurons are normalised together.
        depthwise: Name of a depthwise convolution of the neurons; None if there is none.
        increment: The configuration of the model can express multiples of this number of neurons.

    """

    name: str
    block: int | None
    up: Rows
    gate: Rows | None
    down: str
    inner_norm: bool = False
    depthwise: str | None = None
    increment: int = 1

    def __hash__(self) -> int:
        """Hash the name alone: dimensions of branches are looked up thousands of times a round."""
        return hash(self.name)

    @cached_property
    def roles(self) -> dict[str, str]:
        """The role of each layer, by name."""
        gate = {self.gate.layer: "mlp_gate"} if self.gate else {}
        return {**gate, self.up.layer: "mlp_in", self.down: "mlp_out"}


Branch = Attention | Mlp


def output_of(branch: Branch) -> str:
    """Return the name of the layer that writes to the residual stream."""
    return branch.output if isinstance(branch, Attention) else branch.down


Kind = Literal["heads", "query_key", "value", "neurons", "branch", "width"]


@dataclass(frozen=True)
class Dimension:
    """A dimension of a model that pruning can make smaller.

    Attributes:
        kind: Heads of an attention, dimensions of its heads (of query and key, or of value),
            neurons of an MLP, a whole attention or MLP, or channels of the residual stream.
        branch: The attention or MLP; None for the residual stream.

    """

    kind: Kind
    branch: Branch | None = None

    @property
    def as_wide(self) -> tuple["Dimension", ...]:
        """The dimensions that are as wide as this one in a smaller model, including itself."""
        if self.kind in ("query_key", "value"):
            return (Dimension("query_key", self.branch), Dimension("value", self.branch))
        return (self,)
