"""Cases with a known answer."""

import copy

import pytest
import torch

from tests.pruning.compensation.changes import (
    Attention,
    Blocks,
    Mlp,
    prune_by_hand,
)
from vitprune.pruning import Mean, Ridge

EXACT = Ridge(1e-12)


@pytest.fixture
def x():
    return torch.randn(16, 7, 6, generator=torch.Generator().manual_seed(1))


def neuron(number):
    def prune(keep):
        keep["layers.0.branch.fc1"][number] = False
        keep["layers.0.branch.fc2"][:, number] = False

    return prune


def mlp(**options):
    """Return a model of one MLP, and the MLP."""
    torch.manual_seed(0)
    model = Blocks(Mlp(**options))
    return model, model.layers[0]["branch"]


class TestNeurons:
    @torch.no_grad()
    @pytest.mark.parametrize("bias", [True, False])
    def test_a_neuron_that_is_a_linear_function_of_others_is_replaced_by_them(self, x, bias):
        model, branch = mlp(bias=bias)
        branch.fc1.weight[3] = 2 * branch.fc1.weight[1]
        branch.fc1.bias[3] = 2 * branch.fc1.bias[1]
        before, expected = model(x), branch.fc2.weight.clone()
        prune_by_hand(model, EXACT, [x[:8], x[8:]], neuron(3))
        torch.testing.assert_close(model(x), before, rtol=0, atol=1e-6)
        assert not branch.fc2.weight[:, 3].any()
        expected[:, 1] += 2 * expected[:, 3]
        expected[:, 3] = 0
        torch.testing.assert_close(branch.fc2.weight, expected, rtol=0, atol=1e-6)

    @torch.no_grad()
    @pytest.mark.parametrize("compensation", [Mean(), Ridge()])
    def test_a_constant_neuron_goes_into_the_bias(self, x, compensation):
        model, branch = mlp()
        branch.fc1.weight[3] = 0
        branch.fc1.bias[3] = 1.5
        before, expected = model(x), branch.fc2.bias + 1.5 * branch.fc2.weight[:, 3]
        prune_by_hand(model, compensation, [x], neuron(3))
        torch.testing.assert_close(model(x), before, rtol=0, atol=1e-6)
        torch.testing.assert_close(branch.fc2.bias, expected)

    @torch.no_grad()
    def test_mean_keeps_the_mean_output_and_changes_no_kept_weight(self, x):
        model, branch = mlp()
        before, expected = model(x), branch.fc2.weight.clone()
        prune_by_hand(model, Mean(), [x], neuron(3))
        expected[:, 3] = 0
        assert torch.equal(branch.fc2.weight, expected)
        means = [output.mean((0, 1)) for output in (model(x), before)]
        torch.testing.assert_close(*means, rtol=0, atol=1e-6)

    @torch.no_grad()
    def test_without_a_bias_mean_changes_nothing(self, x):
        model, branch = mlp(bias=False)
        expected = branch.fc2.weight.clone()
        prune_by_hand(model, Mean(), [x], neuron(3))
        expected[:, 3] = 0
        assert torch.equal(branch.fc2.weight, expected)

    @torch.no_grad()
    def test_single_pruned_weights_stay_pruned_and_the_mean_output_is_kept(self, x):
        model, branch = mlp()
        branch.fc2.weight[::2, 1] = 0
        before = model(x)
        masks = prune_by_hand(model, Ridge(), [x], neuron(3))
        assert not branch.fc2.weight[::2, 1].any()
        assert torch.equal(masks[branch.fc2.weight], branch.fc2.weight != 0)
        means = [output.mean((0, 1)) for output in (model(x), before)]
        torch.testing.assert_close(*means, rtol=0, atol=1e-6)

    def test_masks_and_other_layers_do_not_change(self, x):
        model, branch = mlp()
        dense = copy.deepcopy(branch)
        plain = prune_by_hand(copy.deepcopy(model), None, [x], neuron(3))
        masks = prune_by_hand(model, Ridge(), [x], neuron(3))
        for ours, theirs in zip(masks, plain, strict=True):
            assert torch.equal(ours.keep, theirs.keep)
            assert not ours.parameter[~ours.keep].any()
        assert torch.equal(branch.fc1.weight[4:], dense.fc1.weight[4:])
        assert torch.equal(branch.fc1.bias, dense.fc1.bias)
        assert not any(module._forward_hooks for module in model.modules())

    def test_what_was_pruned_before_is_not_compensated_again(self, x):
        model, _ = mlp()
        prune_by_hand(model, Ridge(), [x], neuron(3))
        once = {name: value.clone() for name, value in model.state_dict().items()}
        prune_by_hand(model, Ridge(), [x], neuron(3))
        assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())


def dimension(*numbers):
    def prune(keep):
        for name in ("q_proj", "k_proj"):
            keep[f"layers.0.branch.{name}"][list(numbers)] = False

    return prune


def head(number):
    def prune(keep):
        rows = slice(4 * number, 4 * number + 4)
        for name, mask in keep.items():
            (mask.T if name.endswith("o_proj") else mask)[rows] = False

    return prune


class TestAttention:
    def model(self, **options):
        torch.manual_seed(0)
        return Blocks(Attention(**options), Attention())

    @torch.no_grad()
    @pytest.mark.parametrize("bias", [True, False])
    def test_query_and_key_dimensions_that_depend_on_others_keep_the_scores(self, bias):
        model = self.model(bias=bias)
        attention = model.layers[0]["branch"]
        for layer in (attention.q_proj, attention.k_proj):
            factors = torch.randn(2, 2)
            layer.weight[:2] = factors @ layer.weight[2:4]
            if layer.bias is not None:  # any: the intercept goes into the bias of the queries
                layer.bias.normal_()
        x = torch.randn(8, 5, 8)
        before = model(x)
        prune_by_hand(model, EXACT, [x[:4], x[4:]], dimension(0, 1))
        assert not attention.q_proj.weight[:2].any()
        assert not attention.k_proj.weight[:2].any()
        torch.testing.assert_close(model(x), before, rtol=0, atol=1e-5)

    @torch.no_grad()
    def test_mean_leaves_queries_and_keys_as_they_are(self):
        model = self.model()
        dense = copy.deepcopy(model)
        x = torch.randn(8, 5, 8)
        prune_by_hand(model, Mean(), [x], dimension(0))
        for name in ("q_proj", "k_proj"):
            ours, theirs = (
                each.get_submodule(f"layers.0.branch.{name}") for each in (model, dense)
            )
            assert torch.equal(ours.weight[1:], theirs.weight[1:])
            assert torch.equal(ours.bias, theirs.bias)

    @torch.no_grad()
    def test_a_head_that_depends_on_another_is_replaced_by_it(self):
        model = self.model()
        attention = model.layers[0]["branch"]
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj):
            layer.weight[4:] = layer.weight[:4]
            layer.bias[4:] = layer.bias[:4]
        attention.v_proj.bias[4:] += 1
        x = torch.randn(8, 5, 8)
        before = attention(x)
        prune_by_hand(model, EXACT, [x], lambda keep: head(1)(_of_block(keep, 0)))
        torch.testing.assert_close(attention(x), before, rtol=0, atol=1e-5)


def _of_block(keep, number):
    return {name: mask for name, mask in keep.items() if name.startswith(f"layers.{number}.")}
