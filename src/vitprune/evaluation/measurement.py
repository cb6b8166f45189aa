"""One measurement of a scan, and its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Method

DENSE = "dense"  # key of the model as it is


@dataclass(frozen=True)
class Measurement:
    """One way to prune a model in one shot.

    Attributes:
        key: Unique name.
        layers: Layers to prune.
        sparsity: Target sparsity of these layers, in (0, 1).
        method: Criterion, granularity and allocation.
        seed: Seed of random scores.
        statistics: Calibration statistics by layer name.

    """

    key: str
    layers: Sequence[Layer]
    sparsity: float
    method: Method
    seed: int
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Accuracy and loss of a pruned model on all images.

    Attributes:
        accuracy: Fraction of correctly classified images, in [0, 1].
        loss: Mean cross-entropy.
        images: Number of images.
        sparsity: Sparsity that the pruned layers reached. It differs from the target where groups
            are large, or where more weights were pruned before.

    """

    accuracy: float
    loss: float
    images: int
    sparsity: float
