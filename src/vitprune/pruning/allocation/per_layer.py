"""Sparsities given by layer."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.tied import TiedGroupings, tie
from vitprune.pruning.layer_listing import listing
from vitprune.runs.plain_values import plain


class PerLayer(Allocation):
    """A given sparsity for each layer, s_l = min(1, a t_l) with t_l as given.

    a is chosen such that the layers reach the sparsity of the schedule: while that rises, every
    layer has the same fraction of its final sparsity.

    Source: the layer-wise rates of Han et al. 2015.

    Args:
        sparsities: Final sparsity by layer name, role or pattern, in [0, 1); the first match
            counts. Their weighted average must equal the schedule's `final_sparsity`, to 0.005; a
            common factor makes up for the difference.
        min_density: See `Allocation`.

    """

    def __init__(self, sparsities: dict[str, float], min_density: float = 0.0) -> None:
        super().__init__(min_density)
        sparsities = plain(sparsities)
        wrong = {key: value for key, value in sparsities.items() if not 0 <= value < 1}
        if wrong or not sparsities:
            raise UsageError(f"PerLayer needs sparsities in [0, 1), not {wrong or 'none at all'}.")
        self.sparsities = sparsities

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """Raise `UsageError` if a key matches no layer, or a layer has no sparsity.

        Layers that are pruned as one group need the same sparsity.
        """
        for key in self.sparsities:
            if not any(_matches(key, layer) for layer in layers):
                raise UsageError(
                    f"PerLayer names {key!r}, which matches none of the pruned "
                    f"layers:\n{listing(layers)}"
                )
        for tied in tie(granularity.groupings(layers)):
            given = {layer.name: self._sparsity_of(layer) for layer in tied.layers}
            if len(set(given.values())) > 1:
                listed = ", ".join(f"{name} {sparsity:g}" for name, sparsity in given.items())
                raise UsageError(
                    "PerLayer must give one sparsity to layers that are pruned together, and has "
                    f"{listed}."
                )

    def fixed_sparsity(self, groupings: Sequence[Grouping]) -> float:
        """Return the weighted average of the given sparsities, in [0, 1)."""
        sizes = [grouping.weights for grouping in groupings]
        pruned = [
            self._sparsity_of(grouping.layers[0]) * size
            for grouping, size in zip(groupings, sizes, strict=True)
        ]
        return sum(pruned) / sum(sizes)

    def prunable_increments(self, tied: TiedGroupings) -> int:
        """Return none for layers with sparsity 0."""
        return super().prunable_increments(tied) if self._sparsity_of(tied.layers[0]) else 0

    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """See the base class."""
        quotas = [
            self._sparsity_of(candidate.layers[0]) * candidate.increments
            for candidate in candidates
        ]
        sizes = [candidate.increment_size for candidate in candidates]
        return apportion(lambda x: [x * quota for quota in quotas], sizes, demand)

    def _sparsity_of(self, layer: Layer) -> float:
        for key, sparsity in self.sparsities.items():
            if _matches(key, layer):
                return sparsity
        raise UsageError(
            f"PerLayer has no sparsity for {layer.name} (role {layer.role}). Add it, or '*' for "
            "the rest."
        )


def _matches(key: str, layer: Layer) -> bool:
    return layer.role == key or fnmatchcase(layer.name, key)
