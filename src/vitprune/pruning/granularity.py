"""In what unit: the weights that are kept or dropped together."""

from abc import ABC, abstractmethod

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import Layer


class Granularity(ABC):
    """A partition of a weight into groups.

    Attributes:
        group_dims: Number of leading dimensions of `view` that count the groups.

    """

    group_dims: int = 1

    @abstractmethod
    def view(self, tensor: Tensor) -> Tensor:
        """Return a view (the same memory) whose first `group_dims` dimensions count groups and the others members."""

    def check(self, layer: Layer) -> None:
        """Raise `UsageError` if this granularity does not fit the layer."""
        if layer.weight.ndim < 2:
            raise UsageError(f"{type(self).__name__} needs a weight matrix, and {layer.name} has none.")

    def group(self, score: Tensor, reduction: str) -> Tensor:
        """Reduce the scores of a weight to those of its groups, (G,)."""
        view = self.view(score)
        members = tuple(range(self.group_dims, view.ndim))
        if not members:
            return view.reshape(-1)
        if reduction == "first":
            return view.flatten(self.group_dims)[..., 0].reshape(-1)
        return (view.amax(members) if reduction == "max" else view.sum(members)).reshape(-1)

    def spread(self, keep: Tensor, mask: Tensor) -> None:
        """Write the decision for each group, (G,), to all of its members in `mask`, in place."""
        view = self.view(mask)
        shape = (*view.shape[: self.group_dims], *[1] * (view.ndim - self.group_dims))
        view.copy_(keep.reshape(shape).expand_as(view))

    def group_count(self, weight: Tensor) -> int:
        """Return G, the number of groups in a weight."""
        count = 1
        for size in self.view(weight).shape[: self.group_dims]:
            count *= size
        return count


class Element(Granularity):
    """Single weights: unstructured sparsity."""

    def view(self, tensor: Tensor) -> Tensor:
        """(out, in) -> (out * in,)."""
        return tensor.view(-1)


class Row(Granularity):
    """All weights into one output: `dim=0` of `torch.nn.utils.prune`. The bias stays."""

    def view(self, tensor: Tensor) -> Tensor:
        """(out, in, ...), as it is."""
        return tensor


class Column(Granularity):
    """All weights out of one input: `dim=1` of `torch.nn.utils.prune`."""

    def view(self, tensor: Tensor) -> Tensor:
        """(out, in, ...) -> (in, out, ...)."""
        return tensor.transpose(0, 1)
