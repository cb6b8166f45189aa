"""A layer whose statistics can be computed by brute force."""

import torch
from torch import nn

from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate

torch.manual_seed(0)
X = torch.randn(5, 3, 8)  # (images, tokens, in)
Y = torch.randint(6, (5, 3))


class Toy(nn.Module):
    """A linear layer on tokens; the loss is summed over tokens, averaged over images."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 6)

    def loss(self, x, y, weight=None):
        logits = (
            nn.functional.linear(x, weight, self.linear.bias.to(x))
            if weight is not None
            else self.linear(x)
        )
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), y.flatten(), reduction="sum"
        ) / len(x)


def learn(criterion, net, layer, sizes):
    batches = [
        CalibrationBatch(lambda x=x, y=y: net.loss(x, y), len(x))
        for x, y in zip(X.split(sizes), Y.split(sizes), strict=True)
    ]
    return calibrate(criterion, [layer], batches)["linear"]


def damped_hessian():
    tokens = X.double().flatten(0, 1)
    hessian = tokens.T @ tokens / 5
    return hessian + 0.01 * hessian.diagonal().mean() * torch.eye(8, dtype=torch.float64)
