"""Sparsities given by layer."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import ROLES, Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.candidates import Candidate, tie
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.units import Unit
from vitprune.pruning.layer_selection import listing


class PerLayer(Allocation):
    """A sparsity for each layer, s_l = min(1, a t_l) with t_l as given and a such that the layers
    come to the schedule's.

    Source: the layer-wise rates of Han et al. 2015.

    Args:
        sparsities: Final sparsity by layer name, role or pattern, in [0, 1); the first match
            counts. While the schedule rises, all layers have the same fraction of theirs. Together
            they must come to the schedule's final sparsity, to half a hundredth; what is missing is
            a common factor.
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
                raise UsageError(
                    f"PerLayer names {key!r}, which matches none of the pruned "
                    f"layers:\n{listing(layers)}"
                )
        for units in tie(granularity.units(layers)):
            together = [layer for unit in units for layer in unit.layers]
            given = {layer.name: self._sparsity_of(layer) for layer in together}
            if len(set(given.values())) > 1:
                listed = ", ".join(f"{name} {sparsity:g}" for name, sparsity in given.items())
                raise UsageError(
                    "PerLayer must give one sparsity to layers that are pruned together, and has "
                    f"{listed}."
                )

    def total(self, units: Sequence[Unit]) -> float:
        """Return the sparsity of all units together, in [0, 1)."""
        sizes = [unit.groups * unit.group_size for unit in units]
        return sum(
            self._sparsity_of(unit.layers[0]) * size
            for unit, size in zip(units, sizes, strict=True)
        ) / sum(sizes)

    def _most_of(self, candidate: Candidate) -> int:
        return super()._most_of(candidate) if self._sparsity_of(candidate.layers[0]) else 0

    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """See the base class."""
        quotas = [
            self._sparsity_of(candidate.layers[0]) * candidate.groups for candidate in candidates
        ]
        return apportion(
            lambda x: [x * quota for quota in quotas], target, candidates, lower, upper
        )

    def _sparsity_of(self, layer: Layer) -> float:
        for key, sparsity in self.sparsities.items():
            if self._matches(key, layer):
                return sparsity
        raise UsageError(
            f"PerLayer has no sparsity for {layer.name} (role {layer.role}); add it, or '*' for "
            "the rest."
        )

    @staticmethod
    def _matches(key: str, layer: Layer) -> bool:
        return layer.role == key if key in ROLES else fnmatchcase(layer.name, key)
