"""Models whose masks are changed by hand, and their calibration data."""

import torch.nn.functional as F
from torch import nn

from vitprune.pruning import LayerSelection, Masks
from vitprune.pruning.compensation.compensate import compensate
from vitprune.pruning.compensation.moments import InputMoments
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate


class Mlp(nn.Module):
    """An MLP that the anatomy knows by the names of its layers."""

    def __init__(self, *, bias=True):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 6, bias=bias)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())


class Attention(nn.Module):
    """Attention with two heads of four dimensions."""

    def __init__(self, *, bias=True):
        super().__init__()
        self.num_heads = 2
        self.q_proj, self.k_proj = nn.Linear(8, 8, bias=bias), nn.Linear(8, 8)
        self.v_proj, self.o_proj = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        query, key, value = (
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class Blocks(nn.Module):
    """Blocks with a residual stream."""

    def __init__(self, *branches):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"branch": branch}) for branch in branches)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["branch"](x)
        return x


def prune_by_hand(model, compensation, inputs, pruned):
    """Prune what `pruned` sets to False in the masks, given by layer name, and return the masks."""
    masks = Masks(LayerSelection().select(model))
    batches = [CalibrationBatch(lambda x=x: model(x).sum(), len(x)) for x in inputs]
    moments = calibrate(InputMoments(), masks.layers, batches)
    with masks.changing():
        pruned({layer.name: masks[layer.weight] for layer in masks.layers})
        if compensation:
            compensate(masks, compensation, moments)
    return masks
