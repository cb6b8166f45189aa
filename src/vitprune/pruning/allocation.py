"""Where: how many groups each layer drops, so that together they come to the scheduled sparsity."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import ROLES, Layer
from vitprune.pruning.layer_selection import listing
from vitprune.pruning.selection import count_lowest


@dataclass(frozen=True)
class Candidate:
    """A layer that is about to be pruned.

    Attributes:
        layer: The layer.
        scores: Score of each group, (G,), higher = keep; -inf for a group that fell in an earlier round.
        group_size: Weights in one group.
        dropped: Number of groups that fell in earlier rounds.
        summed: Whether a score is a sum over the group, so that it grows with its size.

    """

    layer: Layer
    scores: Tensor
    group_size: int
    dropped: int
    summed: bool

    @property
    def groups(self) -> int:
        """G, the number of groups."""
        return self.scores.numel()


class Allocation(ABC):
    """A rule that divides the sparsity among the layers.

    Args:
        min_density: No layer keeps less than this fraction of its groups, in [0, 1); its share falls to the others.

    """

    def __init__(self, min_density: float = 0.0) -> None:
        if not 0 <= min_density < 1:
            raise UsageError(f"min_density must lie in [0, 1), not {min_density}.")
        self.min_density = min_density

    def allocate(self, sparsity: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return how many groups each candidate has dropped after this round.

        With groups of one size the total is exactly round(sparsity * groups); else it is near the number of weights that
        it should be, off by less than the largest group, within what floors and earlier rounds allow.
        """
        lower = [candidate.dropped for candidate in candidates]
        upper = [max(c.dropped, int((1 - self.min_density) * c.groups + 1e-9)) for c in candidates]
        return self.divide(weights_to_drop(sparsity, candidates), candidates, lower, upper)

    @abstractmethod
    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """Return the number of groups to drop per candidate, within [lower, upper], that comes to `target` weights."""

    def check(self, layers: Sequence[Layer]) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if this allocation does not fit these layers."""


class Uniform(Allocation):
    """The same sparsity in every layer: local pruning, as `torch.nn.utils.prune` does layer by layer."""

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        weights = sum(c.groups * c.group_size for c in candidates)
        return apportion([c.groups * target / weights for c in candidates], target, candidates, lower, upper)


class PerLayer(Allocation):
    """A sparsity for each layer relative to the others, reached together with the schedule.

    Args:
        sparsities: Final sparsity by layer name, role or pattern, in [0, 1); the first match counts. While the schedule
            rises, all layers have the same fraction of theirs. Together they should come to the schedule's final sparsity;
            where they do not, all are scaled until they do.
        min_density: See `Allocation`.

    """

    def __init__(self, sparsities: dict[str, float], min_density: float = 0.0) -> None:
        super().__init__(min_density)
        wrong = {key: value for key, value in sparsities.items() if not 0 <= value < 1}
        if wrong or not sparsities:
            raise UsageError(f"PerLayer needs sparsities in [0, 1), not {wrong or 'none at all'}.")
        self.sparsities = dict(sparsities)

    def check(self, layers: Sequence[Layer]) -> None:
        """Every key must match a layer, and every layer a key."""
        for key in self.sparsities:
            if not any(self._matches(key, layer) for layer in layers):
                raise UsageError(f"PerLayer names {key!r}, which matches none of the pruned layers:\n{listing(layers)}")
        for layer in layers:
            self._sparsity_of(layer)

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        quotas = [self._sparsity_of(candidate.layer) * candidate.groups for candidate in candidates]
        return apportion(quotas, target, candidates, lower, upper)

    def _sparsity_of(self, layer: Layer) -> float:
        for key, sparsity in self.sparsities.items():
            if self._matches(key, layer):
                return sparsity
        raise UsageError(f"PerLayer has no sparsity for {layer.name} (role {layer.role}); add it, or '*' for the rest.")

    @staticmethod
    def _matches(key: str, layer: Layer) -> bool:
        return layer.role == key if key in ROLES else fnmatchcase(layer.name, key)


class Global(Allocation):
    """One ranking over all layers: the lowest scores fall wherever they are, as in `global_unstructured`.

    Groups of unequal size are ranked by score per weight where the score is a sum.
    Holds the scores of all layers at once: as much memory as the
    weights.
    """

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        counts: dict[int, int] = {}
        free = list(range(len(candidates)))
        while True:  # a layer over its bound is fixed there, and the others are ranked again
            left = target - sum(counts[i] * candidates[i].group_size for i in counts)
            ranked = dict(zip(free, rank([candidates[i] for i in free], max(0, left)), strict=True))
            over = [i for i in free if ranked[i] > upper[i]]
            if not over:
                counts |= ranked
                return [max(counts[i], lower[i]) for i in range(len(candidates))]
            counts |= {i: upper[i] for i in over}
            free = [i for i in free if i not in over]


def weights_to_drop(sparsity: float, candidates: Sequence[Candidate]) -> int:
    """Return the number of weights that the sparsity asks for: whole groups where all have one size."""
    sizes = {candidate.group_size for candidate in candidates}
    if len(sizes) == 1:
        return round(sparsity * sum(candidate.groups for candidate in candidates)) * sizes.pop()
    return round(sparsity * sum(candidate.groups * candidate.group_size for candidate in candidates))


def rank(candidates: Sequence[Candidate], target: int) -> list[int]:
    """Return how many groups of each candidate are among the lowest that come to `target` weights."""
    if not candidates:
        return []
    sizes = [candidate.group_size for candidate in candidates]
    if len(set(sizes)) == 1:
        groups = min(round(target / sizes[0]), sum(candidate.groups for candidate in candidates))
        return count_lowest([candidate.scores for candidate in candidates], groups)
    scores = torch.cat([c.scores.double() / (c.group_size if c.summed else 1) for c in candidates])
    owner = torch.cat([torch.full((c.groups,), i) for i, c in enumerate(candidates)]).to(scores.device)
    order = owner[scores.argsort(stable=True)]
    freed = torch.tensor(sizes, device=scores.device)[order].cumsum(0)
    wanted = int((freed - target).abs().argmin()) + 1 if target * 2 > int(freed[0]) else 0
    return torch.bincount(order[:wanted], minlength=len(candidates)).tolist()


def apportion(
    quotas: Sequence[float],
    target: int,
    candidates: Sequence[Candidate],
    lower: Sequence[int],
    upper: Sequence[int],
) -> list[int]:
    """Round quotas to whole groups that come to `target` weights (largest remainder, Hamilton's method).

    Args:
        quotas: Groups to drop per candidate, in proportion; scaled until their sum, within the bounds, is the target.
        target: Weights to drop together.
        candidates: Their group sizes.
        lower: Fewest groups per candidate.
        upper: Most groups per candidate.

    """
    sizes = [candidate.group_size for candidate in candidates]

    def bounded(factor: float) -> list[float]:
        return [min(max(q * factor, low), high) for q, low, high in zip(quotas, lower, upper, strict=True)]

    def weights(counts: Sequence[float]) -> float:
        return sum(count * size for count, size in zip(counts, sizes, strict=True))

    exact = bounded(_solve(lambda factor: weights(bounded(factor)), target))
    counts = [int(value + 1e-6) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    left = target - weights(counts)
    for i in by_remainder:
        if counts[i] < upper[i] and 2 * left >= sizes[i]:
            counts[i] += 1
            left -= sizes[i]
    return counts


def _solve(weights: Callable[[float], float], target: int) -> float:
    """Find the factor at which a rising function reaches the target, by bisection; 1 where that is it already."""
    if abs(weights(1.0) - target) < 0.5:
        return 1.0
    low, high = 0.0, 1.0
    while weights(high) < target and high < 1e12:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) < target else (low, middle)
    return high
