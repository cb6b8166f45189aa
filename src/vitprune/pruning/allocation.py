"""Where: how much each layer drops, so that together they come to the scheduled sparsity."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import ROLES, Layer
from vitprune.pruning.apportion import apportion, rank, weights_to_drop
from vitprune.pruning.candidates import Candidate, tie
from vitprune.pruning.granularity import Granularity
from vitprune.pruning.layer_selection import listing
from vitprune.pruning.units import Unit


class Allocation(ABC):
    """A rule that divides the sparsity among the layers. Unless it says otherwise, that costs next to nothing.

    Args:
        min_density: No layer keeps less than this fraction of its groups, in [0, 1); its share falls to the others.

    """

    def __init__(self, min_density: float = 0.0) -> None:
        if not 0 <= min_density < 1:
            raise UsageError(f"min_density must lie in [0, 1), not {min_density}.")
        self.min_density = min_density

    @property
    def ranks_together(self) -> bool:
        """Whether it ranks the groups of all layers by their scores as they are, so that a layer may fall whole."""
        return False

    def allocate(self, sparsity: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return how many steps each candidate has dropped after this round.

        With steps of one size the total is exactly round(sparsity * steps); else it is near the number of weights that
        it should be, off by less than the largest step, within what floors and earlier rounds allow. Single weights that fell
        before, in groups that did not, count.
        """
        lower = [candidate.dropped for candidate in candidates]
        upper = [max(low, self._most_of(candidate)) for low, candidate in zip(lower, candidates, strict=True)]

        def steps_at(share: float) -> list[int]:
            return self.divide(weights_to_drop(share, candidates), candidates, lower, upper)

        if not any(candidate.thinned for candidate in candidates):
            return steps_at(sparsity)
        return self._allocate_thinned(sparsity, candidates, steps_at)

    @staticmethod
    def _allocate_thinned(
        sparsity: float, candidates: Sequence[Candidate], steps_at: Callable[[float], list[int]]
    ) -> list[int]:
        """Find, by bisection, the steps that bring groups with zeros in them, some with more, closest to a sparsity."""
        wanted = (1 - sparsity) * sum(candidate.groups * candidate.group_size for candidate in candidates)

        def excess(counts: Sequence[int]) -> float:
            return sum(candidate.left(steps) for candidate, steps in zip(candidates, counts, strict=True)) - wanted

        low, high = 0.0, sparsity
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(steps_at(middle)) > 0 else (low, middle)
        return min(steps_at(low), steps_at(high), key=lambda counts: abs(excess(counts)))

    def most(self, candidates: Sequence[Candidate]) -> float:
        """Return the largest sparsity that candidates can come to together, in [0, 1]."""
        droppable = sum(self._most_of(candidate) * candidate.group_size for candidate in candidates)
        return droppable / sum(candidate.groups * candidate.group_size for candidate in candidates)

    def _most_of(self, candidate: Candidate) -> int:
        return min(candidate.droppable, int((1 - self.min_density) * candidate.groups + 1e-9))

    @abstractmethod
    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """Return the number of steps to drop per candidate, within [lower, upper], that comes to `target` weights."""

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if this allocation does not fit these layers, or what falls together in them."""


class Uniform(Allocation):
    """The same sparsity in every layer, s_l = s: local pruning, as `torch.nn.utils.prune` does layer by layer.

    Where that is no whole number of groups in every layer, the first layers lose one more than the last.
    """

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        weights = sum(c.groups * c.group_size for c in candidates)
        quotas = [c.groups * target / weights for c in candidates]
        return apportion(lambda x: [x * quota for quota in quotas], target, candidates, lower, upper)


class ERK(Allocation):
    """Densities in proportion to (in + out) / (in * out): large layers lose more (Erdos-Renyi-kernel).

    1 - s_l = min(1, a (in_l + out_l) / (in_l out_l)), with a such that the layers come to the sparsity. Source: Mocanu et al.
    2018; Evci et al. 2020. A kernel counts here with its inputs; of a unit that spans several layers, sums over them count.
    """

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        ratios = [_erdos_renyi_ratio(candidate) for candidate in candidates]

        def shares(x: float) -> list[float]:
            return [c.groups * (1 - min(1.0, ratio / x)) for c, ratio in zip(candidates, ratios, strict=True)]

        return apportion(shares, target, candidates, lower, upper)


def _erdos_renyi_ratio(candidate: Candidate) -> float:
    shapes = [layer.shape for layer in candidate.layers]
    return sum(map(sum, shapes)) / sum(shape.numel() for shape in shapes)


class PerLayer(Allocation):
    """A sparsity for each layer, s_l = min(1, a t_l) with t_l as given and a such that the layers come to the schedule's.

    Source: the layer-wise rates of Han et al. 2015.

    Args:
        sparsities: Final sparsity by layer name, role or pattern, in [0, 1); the first match counts. While the schedule
            rises, all layers have the same fraction of theirs. Together they must come to the schedule's final sparsity, to
            half a hundredth; what is missing is a common factor.
        min_density: See `Allocation`.

    """

    def __init__(self, sparsities: dict[str, float], min_density: float = 0.0) -> None:
        super().__init__(min_density)
        wrong = {key: value for key, value in sparsities.items() if not 0 <= value < 1}
        if wrong or not sparsities:
            raise UsageError(f"PerLayer needs sparsities in [0, 1), not {wrong or 'none at all'}.")
        self.sparsities = dict(sparsities)

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """Every key must match a layer, and every layer a key; layers that fall together need the same sparsity."""
        for key in self.sparsities:
            if not any(self._matches(key, layer) for layer in layers):
                raise UsageError(f"PerLayer names {key!r}, which matches none of the pruned layers:\n{listing(layers)}")
        for units in tie(granularity.units(layers)):
            together = [layer for unit in units for layer in unit.layers]
            given = {layer.name: self._sparsity_of(layer) for layer in together}
            if len(set(given.values())) > 1:
                listed = ", ".join(f"{name} {sparsity:g}" for name, sparsity in given.items())
                raise UsageError(f"PerLayer must give one sparsity to layers that are pruned together, and has {listed}.")

    def total(self, units: Sequence[Unit]) -> float:
        """Return the sparsity of all units together, in [0, 1)."""
        sizes = [unit.groups * unit.group_size for unit in units]
        return sum(self._sparsity_of(unit.layers[0]) * size for unit, size in zip(units, sizes, strict=True)) / sum(sizes)

    def _most_of(self, candidate: Candidate) -> int:
        return super()._most_of(candidate) if self._sparsity_of(candidate.layers[0]) else 0

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        quotas = [self._sparsity_of(candidate.layers[0]) * candidate.groups for candidate in candidates]
        return apportion(lambda x: [x * quota for quota in quotas], target, candidates, lower, upper)

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

    s_l is the share of the layer's scores that lie below one threshold for all (Frankle and Carbin 2019; Lee et al. 2019).
    Groups of unequal size are ranked by score per weight where the score is a sum. Holds the scores of all layers at once:
    as much memory as the weights, on every rank.

    Args:
        min_density: See `Allocation`.
        normalize: Divide the scores of each layer by their mean first, since magnitudes differ from layer to layer by far.

    """

    def __init__(self, min_density: float = 0.0, normalize: bool = False) -> None:
        super().__init__(min_density)
        self.normalize = normalize

    @property
    def ranks_together(self) -> bool:
        """See the base class."""
        return not self.normalize and self.min_density == 0

    def comparable(self, candidate: Candidate) -> Tensor:
        """Return the scores of a candidate, (G,), such that they can be ranked against those of other layers."""
        scores = candidate.scores
        if candidate.summed and candidate.group_size > 1:
            scores = scores / candidate.group_size
        if not self.normalize:
            return scores
        mean = torch.where(scores.isfinite(), scores, 0).abs().mean()
        return scores / mean.clamp(min=torch.finfo(scores.dtype).tiny)

    def divide(self, target: int, candidates: Sequence[Candidate], lower: Sequence[int], upper: Sequence[int]) -> list[int]:
        """See the base class."""
        scores = [self.comparable(candidate) for candidate in candidates]
        sizes = [candidate.group_size for candidate in candidates]
        counts: dict[int, int] = {}
        free = list(range(len(candidates)))
        while True:  # a layer over its bound is fixed there, and the others are ranked again
            left = max(0, target - sum(counts[i] * sizes[i] for i in counts))
            ranked = dict(zip(free, rank([scores[i] for i in free], [sizes[i] for i in free], left), strict=True))
            over = [i for i in free if ranked[i] > upper[i]]
            if not over:
                counts |= ranked
                return [max(counts[i], lower[i]) for i in range(len(candidates))]
            counts |= {i: upper[i] for i in over}
            free = [i for i in free if i not in over]


class LAMP(Global):
    """One ranking over all layers, of scores made comparable: each is divided by the sum of those in its layer not below it.

    LAMP(u) = s_u^2 / sum of s_v^2 over the v of the same layer with s_v >= s_u, with s = |w| for `Magnitude()` (Lee et al.
    2021). The highest of every layer has 1, so no layer falls whole. Costs a sort of every layer.
    """

    def __init__(self, min_density: float = 0.0) -> None:
        super().__init__(min_density)

    @property
    def ranks_together(self) -> bool:
        """No: the highest score of every layer becomes 1."""
        return False

    def comparable(self, candidate: Candidate) -> Tensor:
        """See the class."""
        ordered, places = candidate.scores.double().sort(stable=True)
        squares = torch.where(ordered.isfinite(), ordered.clamp(min=0).square(), 0)
        ratios = squares / squares.flip(0).cumsum(0).flip(0).clamp(min=torch.finfo(torch.float64).tiny)
        ratios = torch.where(ordered.isfinite(), ratios, ordered)
        return torch.empty_like(ratios).scatter_(0, places, ratios)
