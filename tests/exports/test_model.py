"""A pruned model is exported from Python, without a run."""

import pytest
import torch
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTImageProcessor

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.exports.costs import count_parameters
from vitprune.exports.model import export
from vitprune.exports.verify import logits
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Element, Global, Method, Neuron
from vitprune.pruning import prune as prune_in_place
from vitprune.runs.report import RunReport

IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def prune(net, granularity, allocation=None, sparsity=0.5):
    method = Method(granularity=granularity, allocation=allocation)
    prune_in_place(net, method, sparsity)
    return net


class Nested(nn.Module):
    """Like a LightningModule that holds the classifier."""

    def __init__(self, net):
        super().__init__()
        self.net = net


@pytest.mark.parametrize("wrap", [lambda net: net, Nested])
def test_plain_transformers_loads_the_same_model(tmp_path, family, wrap):
    net = prune(tiny_net(family), Element())
    before = logits(net, IMAGES)
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    report = export(wrap(net), tmp_path / "export", processor, IMAGES)
    assert {file.name for file in (tmp_path / "export").iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "report.json",
    }
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    torch.testing.assert_close(logits(loaded, IMAGES), before, rtol=0, atol=1e-6)
    assert AutoImageProcessor.from_pretrained(tmp_path / "export").size["height"] == 16
    assert report.sparsity.prunable == pytest.approx(0.5, abs=1e-3)
    assert report.verification.largest_logit_difference == 0
    assert report.verification.images == 3
    assert RunReport.read(tmp_path / "export" / "report.json") == report


def test_the_model_is_not_changed(tmp_path):
    net = prune(tiny_net(), Neuron(loadable=True)).train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    export(net, tmp_path / "export")
    assert net.training
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_structure_is_physically_removed(tmp_path):
    net = prune(tiny_net(), Neuron(loadable=True))
    report = export(net, tmp_path / "export")
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    assert loaded.config.intermediate_size == 32
    assert report.shrunk.dropped_parameters == report.base.parameters - count_parameters(loaded) > 0
    torch.testing.assert_close(
        logits(loaded, IMAGES), logits(net.eval(), IMAGES), rtol=0, atol=1e-5
    )


def test_random_images_are_seeded(tmp_path):
    net = prune(tiny_net(), Neuron(), Global())
    first, second = (export(net, tmp_path / "export") for _ in range(2))  # replaces its own export
    assert first == second
    assert first.verification.images > 1


def test_the_type_of_the_weights_stays(tmp_path):
    net = prune(tiny_net(), Element()).bfloat16()
    export(net, tmp_path / "export")
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    assert loaded.dtype == torch.bfloat16
    for layer in find_layers(loaded):
        theirs = net.get_submodule(layer.name).weight
        assert torch.equal(layer.weight, theirs)


def test_a_model_without_masks_is_exported_as_it_is(tmp_path):
    report = export(tiny_net("beit"), tmp_path / "export")
    assert report.sparsity.prunable == 0
    assert report.shrunk.ran
    assert report.shrunk.loads_smaller == []


def test_other_modules_and_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Linear cannot be exported. Give a Hugging Face image"):
        export(nn.Linear(2, 2), tmp_path / "export")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="not an export"):
        export(tiny_net(), tmp_path)


def test_the_sparsity_is_that_of_the_blocks(tmp_path):
    net = prune(tiny_net(), Element())
    report = export(net, tmp_path / "export")
    assert report.sparsity.prunable == 0.5
    assert report.environment.command is None


@pytest.mark.parametrize("shape", [(0, 3, 16, 16), (2, 1, 16, 16), (3, 16, 16)])
def test_images_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(UsageError, match=r"images must have the shape \(B, 3, 16, 16\)"):
        export(tiny_net(), tmp_path / "export", images=torch.zeros(shape))


def test_a_model_that_differs_from_its_configuration_is_named(tmp_path):
    net = tiny_net()
    net.config.intermediate_size = 32
    with pytest.raises(UsageError, match="do not have the shapes of its configuration"):
        export(net, tmp_path / "export")
