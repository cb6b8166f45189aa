"""Which weights are pruned? Criterion: an importance score for each weight, higher = keep."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.granularity.grouping import Grouping, Reduction
from vitprune.pruning.masks.sharding import whole


@dataclass(frozen=True)
class Scoring:
    """What a criterion may know beside the weight.

    Attributes:
        layer: Name of the layer.
        round: The round that is being pruned, from 1.
        seed: Seed of the run.
        observed: Statistic of this layer, perhaps sharded; None if there is none.

    """

    layer: str
    round: int
    seed: int
    observed: Tensor | None = None

    @property
    def statistic(self) -> Tensor:
        """The statistic of this layer, whole on every rank.

        Raises:
            UsageError: If there is none.

        """
        if self.observed is None:
            raise UsageError(
                f"{self.layer}: this criterion scores by statistics of data or training, and has "
                "none. Calibrate it first, or train before the first round."
            )
        return whole(self.observed)


class Criterion(ABC):
    """A rule that scores single weights.

    Attributes:
        reduction: How the scores of the weights of a group become the score of the group: `sum`,
            `max`, `first` (that of one member stands for all) or `square` (of the sum).
        per_output: Whether single weights compete only with those of the same output.
        is_random: Whether the scores are drawn at random.
        signed_scores: Whether scores can be negative.
        calibrated: Whether its statistics come from calibration data, through `observe`.
        needs_gradients: Whether `observe` needs the gradients of the outputs.
        observes_outputs: Whether `observe` gets the outputs of the layer in place of gradients.
        observes_gradient: Whether its statistic is the mean gradient of the weight.
        straight_through: Whether its statistics come from every training step, through
            `observe_step`. Pruned weights are then trained as well, and may regrow (see `Masks`).
        updates_weights: Whether remaining weights are updated to compensate for pruned ones,
            through `update_weights`.
        in_order: Whether they are updated again, layer after layer, with `reconstructed`.

    """

    reduction: Reduction = "sum"
    per_output: bool = False
    is_random: bool = False
    signed_scores: bool = False
    calibrated: bool = False
    needs_gradients: bool = False
    observes_outputs: bool = False
    observes_gradient: bool = False
    straight_through: bool = False
    updates_weights: bool = False
    in_order: bool = False

    @abstractmethod
    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return a finite float score for each weight.

        Args:
            weight: The weight with its zeros.
            scoring: What else the score may depend on.

        Returns:
            A new tensor with the shape, device and memory order of `weight`.

        """

    def score_groups(self, grouping: Grouping, scorings: Mapping[str, Scoring]) -> Tensor:
        """Return the score of each group, (G,): those of its weights, reduced.

        Args:
            grouping: Groups of weights.
            scorings: What else the scores may depend on, by name of the layer.

        """
        by_weight = [
            self.score(whole(layer.weight), scorings[layer.name]) for layer in grouping.layers
        ]
        return grouping.reduce(by_weight, self.reduction)

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return what some images add to the statistic of one layer.

        Args:
            inputs: Inputs of the layer, (images, tokens, in).
            gradients: Gradients of the loss of each image by the outputs of the layer, (images,
                tokens, out), if `needs_gradients`; the outputs, if `observes_outputs`; else empty,
                (images, tokens, 0).

        """
        raise NotImplementedError

    def conclude(self, mean: Tensor) -> Tensor:
        """Return the statistic, from the mean of `observe` over the images (float64)."""
        return mean.float()

    def observe_step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return what one training step adds to the statistic of one layer.

        Args:
            weight: The weight with the dense values of pruned entries.
            gradient: Gradient of the loss by the weight, also for pruned entries.

        """
        raise NotImplementedError

    def update_weights(self, weight: Tensor, keep: Tensor, scoring: Scoring) -> Tensor:
        """Return the weights, updated to compensate for those that are not kept.

        Args:
            weight: The weight before this round, zero where it was pruned.
            keep: The mask of this round.
            scoring: As for `score`.

        """
        raise NotImplementedError
