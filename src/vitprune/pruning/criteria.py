"""Which weights matter: a score for each of them, higher = keep."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.seeding import seed_for


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
            raise UsageError(f"{self.layer}: this criterion scores what it learned from data, and has seen none.")
        return self.statistic


class Criterion(ABC):
    """A rule that scores single weights.

    Attributes:
        reduction: How the scores of weights that fall together become the score of their group: `sum`, `max`, `first` (that
            of one member stands for all) or `square` (of the sum).
        per_output: Whether single weights compete only with those of the same output.
        calibrated: Whether it learns from a calibration sample, through `observe`.
        needs_gradients: Whether `observe` needs the gradients of the outputs.
        straight_through: Whether it learns from every step of the training, through `follow`; masks then let gradients pass to
            masked weights, which may come back.
        mends: Whether it changes the weights that are kept, through `mend`.

    """

    reduction: str = "sum"
    per_output: bool = False
    calibrated: bool = False
    needs_gradients: bool = False
    straight_through: bool = False
    mends: bool = False

    @abstractmethod
    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return a finite float score for each weight, a tensor of its own; shape, device and order are those of `weight`."""

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return what a few images add to the statistic of one layer.

        Args:
            inputs: What the layer saw, (images, tokens, in).
            gradients: Gradients of the loss of each image by what the layer returned, (images, tokens, out); empty unless
                `needs_gradients`.

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


class Magnitude(Criterion):
    """|w|^p, summed over a group (p = inf: the largest |w|), so that groups rank by their Lp norm.

    Source: `l1_unstructured` and `ln_structured` of `torch.nn.utils.prune`; Han et al. 2015. Costs one pass over the
    weights.

    Args:
        p: Order of the norm: 1, 2, any positive number, or inf. Single weights rank alike for every p (short of underflow).

    """

    def __init__(self, p: float = 1.0) -> None:
        if not p > 0:
            raise UsageError(f"Magnitude needs a positive p (1, 2 or inf, say), not {p}.")
        self.p = p
        self.reduction = "max" if math.isinf(p) else "sum"

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return |w|^p."""
        return weight.abs() if self.p == 1 or math.isinf(self.p) else weight.abs().pow(self.p)


class Random(Criterion):
    """A uniform random number, the control that every other criterion has to beat.

    Source: `random_unstructured` and `random_structured` of `torch.nn.utils.prune`. The numbers depend on (seed, round,
    layer) alone, so they are the same on every rank, on every device and after a resume.
    """

    reduction = "first"  # one draw a group: a sum of many would say more about the size of the group than about luck

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return numbers from [0, 1)."""
        generator = torch.Generator().manual_seed(seed_for(scoring.seed, "score", scoring.round, scoring.layer))
        return torch.rand(weight.shape, generator=generator).to(weight.device)


class Taylor(Criterion):
    """|w g|, the change of the loss to first order if the weight went; g is the mean gradient over a calibration sample.

    Source: Molchanov et al. 2019. Costs a forward and a backward pass over the sample, and memory for one more set of
    weights in float64 while it gathers.

    Args:
        joint: Score a group by (sum of w g)^2, the change if all of it went at once, instead of by the sum of |w g|.

    """

    calibrated = True
    needs_gradients = True

    def __init__(self, joint: bool = False) -> None:
        self.joint = joint
        self.reduction = "square" if joint else "sum"

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(out, in), the gradient of the weight."""
        return gradients.flatten(0, 1).T @ inputs.flatten(0, 1)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w g if joint, else |w g|."""
        change = weight * scoring.learned.view_as(weight)
        return change if self.joint else change.abs_()


class Fisher(Criterion):
    """w^2 E[g^2], the change of the loss to second order with the diagonal of the empirical Fisher matrix for curvature.

    g is the gradient for a single image. Source: Theis et al. 2018; Liu et al. 2021. Costs as `Taylor`.
    """

    calibrated = True
    needs_gradients = True

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(out, in), the squared gradients of the weight, image by image."""
        total = torch.zeros(gradients.shape[2], inputs.shape[2], dtype=inputs.dtype, device=inputs.device)
        for gradient, tokens in zip(gradients, inputs, strict=True):
            total += (gradient.T @ tokens).square_()
        return total

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w^2 E[g^2]."""
        return weight.square() * scoring.learned.view_as(weight)


class Wanda(Criterion):
    """|w| times the norm of the input that it multiplies, over the tokens of a calibration sample.

    Source: Sun et al. 2023. Costs a forward pass over the sample, and hardly any memory.

    Args:
        per_output: Single weights compete within their output, as published; else within their layer. Groups of several
            weights always compete within their layer.

    """

    calibrated = True

    def __init__(self, per_output: bool = True) -> None:
        self.per_output = per_output

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(in,), the sum of squares of each input."""
        return inputs.square().sum((0, 1))

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return |w| ||x||."""
        return (weight.abs().flatten(1) * scoring.learned.sqrt()).view_as(weight)
