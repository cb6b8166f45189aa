"""Calibration statistics of layers of every kind, however they are called."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Method, Taylor, Wanda, prune
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.criteria.recording import recorded


def mean_gradient(model, inputs):
    """Return the Taylor statistic of the only layer of a model and the gradient of its weight."""

    def loss():
        outputs = model(inputs)
        return (outputs * torch.arange(outputs.numel()).view_as(outputs).sin()).sum() / len(inputs)

    (layer,) = find_layers(model)
    statistics = calibrate(Taylor(), [layer], [CalibrationBatch(loss, len(inputs))])
    loss().backward()
    return statistics[layer.name].view(layer.shape), layer.weight.grad


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv1d(2, 3, 3, padding=1, dilation=2),
        nn.Conv1d(2, 3, 4, stride=4),
        nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode="circular"),
        nn.Conv2d(2, 3, 3, padding=2, stride=2, padding_mode="reflect"),
        nn.Conv3d(2, 3, (2, 3, 1), stride=(2, 1, 1), padding=(0, 1, 0)),
    ],
    ids=repr,
)
def test_the_tokens_of_a_convolution_are_its_patches(convolution):
    torch.manual_seed(0)
    sizes = (8, 7, 6)[: len(convolution.kernel_size)]
    observed, expected = mean_gradient(nn.Sequential(convolution), torch.randn(4, 2, *sizes))
    torch.testing.assert_close(observed, expected, rtol=1e-4, atol=1e-5)


def test_inputs_may_be_given_by_keyword():
    class ByKeyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 3)

        def forward(self, inputs):
            return self.linear(input=inputs)

    torch.manual_seed(0)
    observed, expected = mean_gradient(ByKeyword(), torch.randn(4, 5))
    torch.testing.assert_close(observed, expected)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.ConvTranspose2d(4, 4, 3), r"odd \(ConvTranspose2d\)"),
        (nn.Conv2d(4, 4, 3, groups=2), r"odd \(Conv2d\)"),
        (Conv1D(4, 4), r"odd \(Conv1D\)"),
        (
            nn.MultiheadAttention(4, 2),
            r"odd.in_proj \(MultiheadAttention\), odd.out_proj \(NonDynamically\w+\)",
        ),
    ],
)
def test_layers_without_statistics_are_refused_by_name_before_anything_runs(module, name):
    model = nn.ModuleDict({"fine": nn.Linear(4, 4), "odd": module})
    with pytest.raises(UsageError, match=rf"statistics for {name}: .*pruning.layers.exclude"):
        prune(model, Method(Wanda()), 0.5, batches=[])


def test_a_nested_tensor_is_refused_by_name():
    """As in the fast path of `nn.TransformerEncoder` with a padding mask."""
    rows = [torch.randn(2, 4), torch.randn(3, 4)]
    inputs = torch.nested.nested_tensor(rows, layout=torch.jagged)
    net = nn.Sequential(nn.Linear(4, 4))
    with recorded(find_layers(net)), pytest.raises(UsageError, match="0: .*enable_nested_tensor"):
        net(inputs)
