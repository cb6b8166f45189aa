"""The budget of a model's arithmetic: its FLOPs."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.anatomy.names import attention_names, owners
from vitprune.model.anatomy.records import Attention, Branch, Dimension
from vitprune.pruning.budget.budget import Budget, Run
from vitprune.pruning.budget.costs import Costs, Sum, Term
from vitprune.pruning.budget.flop_counts import count_flops
from vitprune.pruning.budget.pieces import heads, pieces_of, whole
from vitprune.pruning.budget.stream import stream_factors
from vitprune.pruning.granularity.grouping import Grouping


class FLOPs(Budget):
    """The FLOPs of one image, as torch counts them after pruned structure is removed.

    Cost: one forward pass when training begins.

    Args:
        target: FLOPs that are left at the end, instead of the `final_sparsity` of the schedule.
            A multiplication and an addition are two FLOPs.

    """

    unit = "FLOPs"

    def costs(
        self, model: nn.Module, groupings: Sequence[Grouping], run: Run, part: str = ""
    ) -> Costs:
        """Return the FLOPs of each part of the model.

        Raises:
            UsageError: If the model runs a layer of an attention or MLP otherwise than as a module.

        """
        flops = count_flops(run, model)
        layers = {layer.name for layer in find_layers(model)}
        branches = self.branches(groupings)
        terms = [term for branch in branches for term in _terms(branch, model, layers, flops)]
        terms += [
            Term(flops[entries.layer_name], factors)
            for entries, factors in stream_factors(groupings, branches)
            if entries.layer_name in flops and entries.parameter.ndim > 1
        ]
        total = flops.get(part, flops[""])  # `part.forward` may have been called by itself
        rest = total - sum(term.cost for term in terms)
        return Sum((*terms, Term(rest)))


def _terms(
    branch: Branch, model: nn.Module, layers: set[str], flops: Mapping[str, float]
) -> Iterator[Term]:
    """Yield the products with the weights of a branch, and those of queries, keys and values."""
    for piece in pieces_of(branch):
        if piece.layer not in flops:
            raise UsageError(
                f"the FLOPs of {piece.layer} cannot be counted: the model does not call this "
                "layer. Use Parameters or PrunableWeights as pruning.budget."
            )
        factors = (*piece.rows, *piece.columns, *whole(branch))
        yield Term(flops[piece.layer] * piece.share, factors)
    if not isinstance(branch, Attention):
        return
    per_head = {f"{name}" for name in _layers_per_head(branch, model)}
    inside = {name for name in layers if name.startswith(f"{branch.name}.")} | set(branch.roles)
    for name in inside - set(branch.roles):
        kind = ((Dimension("heads", branch),),) if name in per_head else ()
        yield Term(flops.get(name, 0), (*kind, *whole(branch)))
    products = flops[branch.name] - sum(flops.get(name, 0) for name in inside)
    yield Term(products, (*heads(branch), *whole(branch)))


def _layers_per_head(attention: Attention, model: nn.Module) -> Iterator[str]:
    """Yield the names of layers with an output for each head."""
    names = attention_names(model.get_submodule(attention.name))
    modules = {module: name for name, module in model.named_modules()}
    for owner, _ in owners(model, attention.name, names.head_rows):
        yield modules[owner]
