"""One ranking over all layers, of scores relative to those of the same kind of structure."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.runs.plain_values import plain

DEPTH = "depth"
EVENNESS = "evenness"


class Isomorphic(Global):
    """One ranking over all layers, of scores divided by their mean over one kind of structure.

    Scores of heads, neurons and channels have different scales, so that ranked together one kind
    would be pruned first. The mean is over all layers and over the groups that are not pruned.

    Source: Fang et al. 2024, who rank each kind by itself.

    Args:
        min_density: See `Allocation`.
        rates: Factors of the scores by kind of structure (heads, query_key, value, neurons, branch,
            width), as `Search` finds them: a kind with a higher rate than another is pruned less.
            `depth` is the rate of the last block relative to the first. All of these are 1 by
            default. With `evenness` e, the scores of a layer are also divided by (its mean score /
            the mean of its kind)^e: with 0, the default, layers compete, and with 1 each is pruned
            about as much as others of its kind.

    """

    def __init__(self, min_density: float = 0.0, rates: dict[str, float] | None = None) -> None:
        super().__init__(min_density)
        self.rates: dict[str, float] | None = plain(rates)
        for name, rate in (self.rates or {}).items():
            if not (rate >= 0 if name == EVENNESS else rate > 0):
                raise UsageError(f"the rate of {name} must be positive, not {rate}.")

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """Raise `UsageError` if there is a rate for a kind of structure that is not pruned."""
        known = [*granularity.dimensions, DEPTH, EVENNESS]
        if unknown := [name for name in self.rates or {} if name not in known]:
            raise UsageError(
                f"pruning.allocation has a rate for {unknown[0]!r}, which {granularity} does not "
                f"prune. Valid are {', '.join(known)}."
            )

    def ranked_scores(self, candidates: Sequence[Candidate]) -> list[Tensor]:
        """See the class."""
        scores = super().ranked_scores(candidates)
        kinds = [_kind(candidate) for candidate in candidates]
        means = {
            kind: _mean(
                [score for score, other in zip(scores, kinds, strict=True) if other == kind]
            )
            for kind in set(kinds)
        }
        rates = self.rates or {}
        ranked = [
            score * (factor / means[kind])
            for score, kind, factor in zip(scores, kinds, _factors(candidates, rates), strict=True)
        ]
        evenness = rates.get(EVENNESS, 0.0)
        if not evenness:
            return ranked
        return [
            score * (means[kind] / _mean([before])) ** evenness
            for score, kind, before in zip(ranked, kinds, scores, strict=True)
        ]


def _factors(candidates: Sequence[Candidate], rates: Mapping[str, float]) -> list[float]:
    """Return the factor of the scores of each candidate.

    The rate of the depth is divided evenly over the blocks, on a logarithmic scale. What belongs to
    no block lies in their middle, and so do layers of several blocks that are pruned together.
    """
    dimensions = [candidate.tied.groupings[0].dimension for candidate in candidates]
    blocks = [_block(candidate) for candidate in candidates]
    last = max((block for block in blocks if block is not None), default=0)
    depth = rates.get(DEPTH, 1.0)
    return [
        (rates.get(dimension.kind, 1.0) if dimension else 1.0)
        * (1.0 if block is None or last == 0 else depth ** (block / last - 0.5))
        for dimension, block in zip(dimensions, blocks, strict=True)
    ]


def _block(candidate: Candidate) -> int | None:
    """Return the block that a candidate belongs to; None if it is none or several."""
    blocks = {layer.block for layer in candidate.layers}
    return blocks.pop() if len(blocks) == 1 else None


def _kind(candidate: Candidate) -> tuple[str, ...]:
    """Return what the groups of a candidate consist of."""
    grouping = candidate.tied.groupings[0]
    kind = (grouping.dimension.kind,) if grouping.dimension else ()
    return (*kind, *(layer.role for layer in grouping.layers))


def _mean(scores: Sequence[Tensor]) -> Tensor:
    together = torch.cat(list(scores))
    alive = together[together.isfinite()].abs()
    mean = alive.mean() if len(alive) else together.new_ones(())
    return mean.clamp(min=torch.finfo(together.dtype).tiny)
