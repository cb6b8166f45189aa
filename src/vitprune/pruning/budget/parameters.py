"""The budget of a model's size: its parameters."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.model.anatomy.names import attention_names, owners
from vitprune.model.anatomy.records import Attention, Branch, Dimension
from vitprune.pruning.budget.budget import Budget, Run
from vitprune.pruning.budget.costs import Costs, Sum, Term
from vitprune.pruning.budget.pieces import Factors, pieces_of, whole
from vitprune.pruning.budget.stream import stream_factors
from vitprune.pruning.granularity.grouping import Grouping


class Parameters(Budget):
    """All parameters of the model, as they are left after pruned structure is removed.

    The norms of a block count, even if `Branch` prunes all of the block and shrinking removes it.

    Args:
        target: Parameters that are left at the end, instead of the `final_sparsity` of the
            schedule.

    """

    unit = "parameters"

    def costs(
        self, model: nn.Module, groupings: Sequence[Grouping], run: Run, part: str = ""
    ) -> Costs:
        """Return the parameters of each part of the model."""
        layers = {layer.name: layer for layer in find_layers(model)}
        branches = self.branches(groupings)
        terms = [term for branch in branches for term in _terms(branch, model, layers)]
        terms += [
            Term(entries.parameter.numel(), factors)
            for entries, factors in stream_factors(groupings, branches)
        ]
        counted = model.get_submodule(part)
        total = sum(parameter.numel() for parameter in counted.parameters())
        rest = total - sum(term.cost for term in terms)
        return Sum((*terms, Term(rest)))


def _terms(branch: Branch, model: nn.Module, layers: Mapping[str, Layer]) -> Iterator[Term]:
    """Yield the weights and biases of a branch, and the tables of its heads.

    A weight that another branch shares is counted there.
    """
    for piece in pieces_of(branch):
        layer = layers.get(piece.layer)
        if layer is None:
            continue
        size = layer.shape.numel() * piece.share
        yield Term(size, (*piece.rows, *piece.columns, *whole(branch)))
        if layer.bias is not None:
            yield Term(layer.bias.numel() * piece.share, (*piece.rows, *whole(branch)))
    if isinstance(branch, Attention):
        yield from (Term(size, _per_head(branch)) for size in _tables(branch, model))


def _per_head(attention: Attention) -> Factors:
    return ((Dimension("heads", attention),), *whole(attention))


def _tables(attention: Attention, model: nn.Module) -> Iterator[int]:
    """Yield the sizes of the parameters that have a row or column for each head."""
    names = attention_names(model.get_submodule(attention.name))
    for parameters, dim in ((names.head_rows, 0), (names.head_columns, 1)):
        for owner, attribute in owners(model, attention.name, parameters):
            table = getattr(owner, attribute)
            if isinstance(table, nn.Parameter) and table.shape[dim] == attention.heads:
                yield table.numel()
