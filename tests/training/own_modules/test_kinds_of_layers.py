"""Linear and convolutional weights of any dimension are pruned; what is not is printed."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from tests.training.own_modules.modules import (
    CLASSES,
    FEATURES,
    HALVED,
    Classifier,
    Sparsities,
    halving,
    weights,
    zeros,
)
from vitprune.pruning import LayerSelection


class Attention(nn.Module):
    """Self-attention over four tokens of four features."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


KINDS = {
    "Conv1d": ((1, 16), lambda: nn.Conv1d(1, 4, 3, padding=1)),
    "Conv2d": ((1, 4, 4), lambda: nn.Conv2d(1, 4, 3, padding=1)),
    "Conv3d": ((1, 2, 2, 4), lambda: nn.Conv3d(1, 4, 3, padding=1)),
    "ConvTranspose1d": ((1, 16), lambda: nn.ConvTranspose1d(1, 4, 4)),
    "ConvTranspose2d": ((1, 4, 4), lambda: nn.ConvTranspose2d(1, 4, 4)),
    "Conv1D of transformers": ((FEATURES,), lambda: Conv1D(8, FEATURES)),
    "MultiheadAttention": ((4, 4), Attention),
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_any_rank(fit, kind):
    shape, build = KINDS[kind]
    torch.manual_seed(0)
    body = nn.Sequential(nn.Unflatten(1, shape), build(), nn.Flatten())
    width = body(torch.zeros(1, FEATURES)).shape[1]
    module = Classifier(nn.Sequential(body, nn.ReLU(), nn.Linear(width, CLASSES)))
    watch, pruning = Sparsities(), halving(layers=LayerSelection(names=["*"]))
    fit(module, pruning, watch)
    assert watch.seen == pytest.approx(HALVED, abs=0.01)
    assert zeros(*weights(body)) == pytest.approx(0.5, abs=0.02)
    assert pruning.state.sparsity == pytest.approx(0.5, abs=0.01)


class Recurrent(nn.Module):
    """Sixteen words, read one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        words = x.sign().long() + 1
        return self.head(self.lstm(self.embedding(words))[0][:, -1])


def test_what_is_not_pruned_is_named_once_with_its_share(fit, said):
    module, pruning = Classifier(Recurrent()), halving()
    text = said(lambda: fit(module, pruning))
    total = sum(parameter.numel() for parameter in module.parameters())
    share = sum(parameter.numel() for parameter in module.net.lstm.parameters()) / total
    assert text.count("net.lstm") == 1
    assert text.count("net.embedding") == 1
    assert f"{share:.1%}" in text
    assert zeros(module.net.head.weight) == 0.5
    assert zeros(module.net.embedding.weight, *module.net.lstm.parameters()) == 0
