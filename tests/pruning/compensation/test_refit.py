"""The refit to the residual stream of the dense model."""

import copy

import pytest
import torch
from transformers import Dinov2Config, Dinov2ForImageClassification

from tests.conftest import tiny_net
from vitprune.model.anatomy.layers import OUTPUT_ROLES, find_layers
from vitprune.model.token_merging import merge_tokens
from vitprune.pruning import Combined, Head, LayerSelection, Method, Neuron, Ridge, Variance, prune
from vitprune.pruning.compensation.moments import InputMoments
from vitprune.pruning.compensation.refit import refit
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.update import update_masks

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(64, 3, 16, 16, generator=GENERATOR)
BATCHES = [{"pixel_values": part, "labels": torch.arange(16) % 5} for part in IMAGES.split(16)]
RUNS = [lambda net, part=part: net(pixel_values=part) for part in IMAGES.split(16)]
METHOD = Method(Variance(), Combined([Head(), Neuron()]), compensation=Ridge())
DAMPING = 1e-3


def dinov2():
    """Return a model whose branches are scaled before they are added."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2}
    config = Dinov2Config(**sizes, image_size=16, patch_size=8, layerscale_value=0.5)
    config.initializer_range = 0.1
    config.num_labels = 5
    return Dinov2ForImageClassification(config).eval()


def losses(net):
    """Return the calibration batches of a model."""
    return [CalibrationBatch(lambda batch=batch: net(**batch).loss, images=16) for batch in BATCHES]


def compensated(dense, method=METHOD, sparsity=0.5):
    """Return a model that `Ridge` has compensated, and its masks."""
    net = copy.deepcopy(dense)
    masks = method.masks(LayerSelection().select(net, method.granularity.roles))
    observed = method.compensating(masks.layers)
    statistics = calibrate(method.criterion, masks.layers, losses(net))
    moments = calibrate(InputMoments(), observed, losses(net))
    update_masks(masks, method, sparsity, statistics=statistics, moments=moments)
    return net, masks


@torch.no_grad()
def errors(net, dense):
    """Return the squared error of the residual stream after each block."""
    states = [each(pixel_values=IMAGES, output_hidden_states=True) for each in (net, dense)]
    pairs = zip(*(state.hidden_states for state in states), strict=True)
    return [float((ours - theirs).square().sum()) for ours, theirs in pairs]


@pytest.mark.parametrize(("build", "share"), [(tiny_net, 0.98), (dinov2, 1.0)])
def test_the_stream_is_nearer_to_that_of_the_dense_model(build, share):
    dense = build()
    net, masks = compensated(dense)
    before = errors(net, dense)
    refit(net, dense, masks, RUNS, DAMPING)
    after = errors(net, dense)
    assert after[-1] < share * before[-1]
    assert masks.restore() == []


def test_only_what_writes_to_the_stream_changes():
    dense = tiny_net()
    net, masks = compensated(dense)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kept = copy.deepcopy(dense.state_dict())
    refit(net, dense, masks, RUNS, DAMPING)
    writers = {layer.name for layer in find_layers(net) if layer.role in OUTPUT_ROLES}
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) == (name.rpartition(".")[0] not in writers), name
    assert all(torch.equal(value, kept[name]) for name, value in dense.state_dict().items())
    assert not any("forward" in vars(module) for module in (*net.modules(), *dense.modules()))


def test_a_model_that_lost_nothing_stays_as_it_is():
    dense = tiny_net()
    net, masks = compensated(dense, sparsity=0.0)
    refit(net, dense, masks, RUNS, DAMPING)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, dense.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_last_layer_has_the_weights_of_least_squares():
    """Nothing is pruned but neurons of the last block, so that s - s' is zero."""
    dense = tiny_net()
    net = copy.deepcopy(dense)
    method = Method(Variance(), Neuron(), compensation=Ridge(1e-9))
    prune(net, method, 0.5, BATCHES, LayerSelection(blocks=[1]))
    last = net.vit.layers[-1].mlp.fc2
    inputs, wanted = [], []
    hooks = [
        last.register_forward_pre_hook(lambda _, args: inputs.append(args[0].flatten(0, 1))),
        dense.vit.layers[-1].mlp.fc2.register_forward_hook(
            lambda _, __, output: wanted.append(output.flatten(0, 1))
        ),
    ]
    with torch.no_grad():
        net(pixel_values=IMAGES)
        dense(pixel_values=IMAGES)
    for hook in hooks:
        hook.remove()
    kept = last.weight.any(0)
    x = inputs[0][:, kept].double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    best = torch.linalg.lstsq(x, wanted[0].double()).solution
    rest = (x @ best - wanted[0]).square().sum()
    ours = (inputs[0].double() @ last.weight.T.double() + last.bias - wanted[0]).square().sum()
    assert rest <= ours <= 1.001 * rest


def test_a_model_whose_blocks_run_twice_stays_as_it_is():
    dense = tiny_net()
    net, masks = compensated(dense)
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def twice(model):
        model(pixel_values=IMAGES[:2])
        return model(pixel_values=IMAGES[:2])

    refit(net, dense, masks, [twice], DAMPING)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_blocks_that_merge_tokens_keep_merging_them():
    net = tiny_net()
    merge_tokens(net, 1)
    forwards = [vars(module).get("forward") for module in net.modules()]
    assert any(forwards)
    prune(net, METHOD, 0.3, BATCHES)
    assert [vars(module).get("forward") for module in net.modules()] == forwards
