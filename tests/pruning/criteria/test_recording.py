"""Calibration statistics of layers of every kind, however they are called."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Fisher, Method, SparseGPT, Taylor, Wanda, prune
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


class Called(nn.Module):
    """Two linear layers that are called as modules."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.second = nn.Linear(6, 3)

    def forward(self, inputs):
        return self.second(self.first(inputs).relu())


class Multiplied(Called):
    """The same function, by their weights."""

    def forward(self, inputs):
        hidden = F.linear(inputs, self.first.weight, self.first.bias).relu()
        return F.linear(input=hidden, weight=self.second.weight, bias=self.second.bias)


class Checkpointed(Multiplied):
    """The same function, which recomputes its activations in backward."""

    def forward(self, inputs):
        return checkpoint(super().forward, inputs, use_reentrant=False)


def statistics(model, criterion, *, autocast=False):
    """Return the statistics of all layers, from two batches of four images with seven tokens."""

    def loss(seed):
        inputs = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(seed))
        with torch.autocast("cpu", enabled=autocast):
            outputs = model(inputs)
        return (outputs.float() * torch.arange(3.0)).square().mean()

    batches = [CalibrationBatch(lambda seed=seed: loss(seed), 4) for seed in (1, 2)]
    return calibrate(criterion, find_layers(model), batches)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("kind", [Multiplied, Checkpointed])
@pytest.mark.parametrize("criterion", [Wanda, SparseGPT, Taylor, Fisher])
def test_a_weight_that_is_multiplied_without_its_module_has_the_same_statistics(
    criterion, kind, autocast
):
    torch.manual_seed(0)
    called, other = Called(), kind()
    other.load_state_dict(called.state_dict())
    expected = statistics(called, criterion(), autocast=autocast)
    found = statistics(other, criterion(), autocast=autocast)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert value.any()
        assert torch.equal(found[name], value), name


def test_a_compiled_model_and_frozen_layers_have_the_same_statistics():
    torch.manual_seed(0)
    called = Called().requires_grad_(requires_grad=False)
    other = Multiplied().requires_grad_(requires_grad=False)
    other.load_state_dict(called.state_dict())
    other.compile()
    expected = statistics(called, Taylor())
    for name, value in statistics(other, Taylor()).items():
        assert torch.equal(value, expected[name]), name


def test_the_calls_of_a_module_count_once_and_without_those_of_modules_that_share_its_weight():
    class Shared(Called):
        def __init__(self):
            super().__init__()
            self.third = nn.Linear(5, 6)
            self.third.weight = self.first.weight

        def forward(self, inputs):
            return super().forward(inputs) + self.third(2 * inputs).mean()

    torch.manual_seed(0)
    shared = Shared()
    called = Called()
    called.load_state_dict(shared.state_dict(), strict=False)
    found, expected = statistics(shared, Wanda()), statistics(called, Wanda())
    assert torch.equal(found["first"], expected["first"])


def test_a_layer_that_is_not_used_is_refused_by_name():
    class Unused(Called):
        def forward(self, inputs):
            return self.first(inputs)[..., :3]

    with pytest.raises(UsageError, match="for second: training_step calls neither its forward"):
        statistics(Unused(), Wanda())


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
