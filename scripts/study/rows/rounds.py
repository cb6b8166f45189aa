"""When a row prunes: several rounds at equal distances in steps."""

from collections.abc import Callable
from dataclasses import dataclass

from vitprune.pruning import Cubic, Geometric, Linear, Schedule


@dataclass(frozen=True)
class Rounds:
    """Pruning rounds at equal distances, the first before the first step.

    The last round is one distance before the end of the training, or before its middle.

    Args:
        kind: The schedule.
        count: Number of rounds.
        in_first_half: Whether all rounds are in the first half of the training.

    """

    kind: type[Cubic] | type[Geometric] | type[Linear]
    count: int
    in_first_half: bool = False

    @property
    def name(self) -> str:
        """Name in tables: `8 cubic rounds in the first half`."""
        where = " in the first half" if self.in_first_half else ""
        return f"{self.count} {self.kind.__name__.lower()} rounds{where}"

    def schedule(self, sparsity: float, steps: int) -> Schedule:
        """Return the schedule of a training of so many steps.

        Raises:
            SystemExit: If there are fewer steps than rounds.

        """
        available = steps // 2 if self.in_first_half else steps
        every = available // self.count
        if every == 0:
            raise SystemExit(
                f"{self.name} need at least {self.count} steps, and this budget has {available} "
                "for them. Increase --images or --epochs."
            )
        build: Callable[..., Schedule] = self.kind
        return build(sparsity, end=every * (self.count - 1), every=every, unit="step")
