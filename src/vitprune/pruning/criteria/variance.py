"""Scores by the variance of activations."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import OUTPUT_ROLES
from vitprune.model.anatomy.records import Attention
from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.masks.sharding import whole


class Variance(Criterion):
    """w^2 Var[x], where x is the input that the weight multiplies, over tokens and images.

    It is the error that pruning an input leaves if its mean goes into the bias (see `Mean`). A
    group of several layers has the sum over its weights in attn_out or mlp_out: the variance of a
    neuron or value dimension times the squared norm of the weights that read it. A query/key
    dimension has E[q^2] Var[k], as softmax ignores the mean of the keys.

    Source: Variance-Based Pruning, arXiv 2507.12988; CORP, arXiv 2602.05243.

    Cost: a forward pass over the calibration images, and hardly any memory.
    """

    calibrated = True
    observes_outputs = True

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return sums of inputs and outputs, of their squares, and of ones, (3, in + out)."""
        values = torch.cat([inputs, gradients], dim=2).flatten(0, 1).double()
        return torch.stack([values, values.square(), torch.ones_like(values)]).sum(1)

    def conclude(self, mean: Tensor) -> Tensor:
        """Return means of squares, and variances, of inputs and outputs, (2, in + out)."""
        total, square, count = mean
        squares = square / count
        variances = (squares - (total / count).square()).clamp(min=0)
        return torch.stack([squares, variances]).float()

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w^2 Var[x]."""
        matrix = weight.flatten(1)
        _, variances = scoring.statistic
        return (matrix.square() * variances[: matrix.shape[1]]).view_as(weight)

    def score_groups(self, grouping: Grouping, scorings: Mapping[str, Scoring]) -> Tensor:
        """Return the score of each group, (G,)."""
        branch = grouping.layers[0].branch
        if isinstance(branch, Attention):
            scored = [branch.query, branch.key]
            if [part.rows for part in grouping.parts] == scored:
                query, key = (
                    _of_outputs(part, scorings[part.layer.name].statistic, grouping.group_dims)
                    for part in grouping.parts
                )
                squares, _ = query
                _, variances = key
                return squares * variances
        read = any(layer.role in OUTPUT_ROLES for layer in grouping.layers)
        by_weight = [
            torch.zeros_like(weight)
            if read and layer.role not in OUTPUT_ROLES
            else self.score(weight, scorings[layer.name])
            for layer in grouping.layers
            for weight in [whole(layer.weight)]
        ]
        return grouping.reduce(by_weight, self.reduction)


def _of_outputs(part: Part, statistic: Tensor, group_dims: int) -> Tensor:
    """Return means of squares, and variances, of outputs, summed over each group, (2, G)."""
    outputs, inputs = part.layer.matrix_shape
    viewed = [part.view(values.view(outputs, 1)) for values in statistic[:, inputs:]]
    return torch.stack([view.flatten(0, group_dims - 1).flatten(1).sum(1) for view in viewed])
