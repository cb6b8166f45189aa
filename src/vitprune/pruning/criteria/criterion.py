"""Which weights are pruned: an importance score for each, higher = keep."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from vitprune.errors import UsageError


@dataclass(frozen=True)
class Scoring:
    """What a criterion may know beside the weight.

    Attributes:
        layer: Name of the layer.
        round: The round that is being pruned, from 1.
        seed: Seed of the run.
        statistic: What the criterion learned about this layer; None if it does not learn.

    """

    layer: str
    round: int
    seed: int
    statistic: Tensor | None = None

    @property
    def learned(self) -> Tensor:
        """The statistic, of a criterion that needs one.

        Raises:
            UsageError: If there is none.

        """
        if self.statistic is None:
            raise UsageError(
                f"{self.layer}: this criterion scores what it learned from data, and has seen none."
            )
        return self.statistic


class Criterion(ABC):
    """A rule that scores single weights.

    Attributes:
        reduction: How the scores of weights that fall together become the score of their group:
            `sum`, `max`, `first` (that of one member stands for all) or `square` (of the sum).
        per_output: Whether single weights compete only with those of the same output.
        calibrated: Whether it learns from a calibration sample, through `observe`.
        needs_gradients: Whether `observe` needs the gradients of the outputs.
        straight_through: Whether it learns from every step of the training, through `follow`; masks
            then let gradients pass to masked weights, which may come back.
        is_random: Whether the scores are drawn at random.
        mends: Whether it changes the weights that are kept, through `mend`.

    """

    reduction: str = "sum"
    per_output: bool = False
    calibrated: bool = False
    needs_gradients: bool = False
    straight_through: bool = False
    mends: bool = False
    is_random: bool = False

    @abstractmethod
    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return a finite float score for each weight, a tensor of its own; shape, device and order are those of `weight`."""

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return what a few images add to the statistic of one layer.

        Args:
            inputs: What the layer saw, (images, tokens, in).
            gradients: Gradients of the loss of each image by what the layer returned, (images,
                tokens, out); empty unless `needs_gradients`.

        """
        raise NotImplementedError

    def conclude(self, mean: Tensor) -> Tensor:
        """Return the statistic, from the mean of `observe` over the images (float64)."""
        return mean.float()

    def follow(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return what one step of the training adds to the statistic of a layer, by its weight and the gradient of the loss."""
        raise NotImplementedError

    def mend(self, weight: Tensor, keep: Tensor, scoring: Scoring) -> Tensor:
        """Return what the weights should become now that only some are kept."""
        raise NotImplementedError
