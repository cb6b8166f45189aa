"""The residual stream: which parameters have entries for each of its channels, and which norms.

Every layer that writes to the stream has a row for each channel, every layer that reads it a
column. Norms, tokens, position embeddings and LayerScale have an entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class Entries:
    """The entries of a parameter that belong to channels of the residual stream.

    Attributes:
        name: Dotted name of the parameter.
        module: Module that owns it.
        attribute: Its attribute of the module.
        dim: Dimension that counts the channels.
        repeats: How often this dimension counts all channels, one time after the other, as in a
            classifier of concatenated tokens.
        reads: Whether they multiply the channels as columns of a layer; else they are written to
            the stream or scale it.

    """

    name: str
    module: nn.Module
    attribute: str
    dim: int
    repeats: int = 1
    reads: bool = False

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter."""
        parameter: nn.Parameter = getattr(self.module, self.attribute)
        return parameter

    @property
    def layer_name(self) -> str:
        """Name of the layer, if the parameter is the weight or bias of one; see `Layer`."""
        return self.name.removesuffix("weight").removesuffix("bias").rstrip("._")

    def by_channel(self, tensor: Tensor) -> Tensor:
        """View a tensor of the parameter's shape by channel, (channels, ...)."""
        return tensor.unflatten(self.dim, (self.repeats, -1)).movedim(self.dim + 1, 0)


@dataclass(frozen=True)
class Stream:
    """The residual stream of a model, of one width from the stem to the classifier.

    Attributes:
        channels: Number of channels.
        entries: The entries of all parameters for these channels.
        weights: Names of the weights of attentions and MLPs in the blocks.
        norms: Norms over the channels, by name.
        obstacle: Why the model has no such stream, as the end of a sentence; None if it has one.

    """

    channels: int
    entries: tuple[Entries, ...] = ()
    weights: frozenset[str] = frozenset()
    norms: Mapping[str, nn.Module] = field(default_factory=dict)
    obstacle: str | None = None

    @property
    def first_norm(self) -> Entries:
        """The weight of the first norm, which is masked where a channel is pruned, only there."""
        norms = list(self.norms.values())
        return next(entries for entries in self.entries if entries.module in norms)


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalises the last dimension by its mean square or variance."""
    is_over_channels = isinstance(module, nn.LayerNorm) and "2d" not in type(module).__name__
    return is_over_channels or is_rms(module)


def is_rms(module: nn.Module) -> bool:
    """Return whether a module normalises the last dimension by its mean square alone."""
    name = type(module).__name__.lower()
    return isinstance(module, nn.RMSNorm) or (name.endswith("rmsnorm") and "2d" not in name)
