"""What `fit` says about the structure of a model before it trains."""

import pytest

from tests.families.families import BLOCK_FAMILIES
from vitprune.cli.structure import check_structure
from vitprune.errors import UsageError
from vitprune.model.anatomy import AttentionNames, declare
from vitprune.model.anatomy.names import _declared
from vitprune.model.classifier import ViTClassifier
from vitprune.pruning import (
    Combined,
    Element,
    Head,
    HeadDim,
    IterativePruning,
    LayerSelection,
    Neuron,
    OneShot,
    Width,
)

FAMILIES = {family.name: family for family in BLOCK_FAMILIES}


def check(tmp_path, name, granularity):
    """Check a model of a family and a callback that prunes it by this granularity."""
    module = ViTClassifier(str(FAMILIES[name].save(tmp_path)))
    pruning = IterativePruning(OneShot(0.5), granularity=granularity, monitor=None)
    pruning.layers = LayerSelection().select(module, granularity.roles)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    check_structure(module, pruning, 32, 32)
    assert all(value.equal(before[key]) for key, value in module.state_dict().items())
    assert module.training


@pytest.fixture
def lines(caplog):
    """Return the lines that were logged."""
    caplog.set_level("INFO")
    return lambda: caplog.text


def heads_and_neurons():
    return Combined([Head(), Neuron()])


@pytest.mark.parametrize("granularity", [heads_and_neurons(), Element()], ids=["groups", "weights"])
def test_nothing_is_said_where_all_of_it_can_be_removed(tmp_path, lines, granularity):
    check(tmp_path, "vit", granularity)
    assert "zeros" not in lines()


def test_heads_that_will_stay_as_zeros_are_reported(tmp_path, lines):
    check(tmp_path, "timm_dinov3", heads_and_neurons())
    assert "EvaAttention" in lines()
    assert "zeros" in lines()


def test_neurons_alone_are_removed_there(tmp_path, lines):
    check(tmp_path, "timm_dinov3", Neuron())
    assert "EvaAttention" not in lines()


def test_dimensions_of_rotary_heads_are_reported(tmp_path, lines):
    check(tmp_path, "dinov3", HeadDim())
    assert "dimensions of heads stay" in lines()


def test_a_wrong_declaration_is_refused(tmp_path, monkeypatch):
    net = FAMILIES["vit"].build()
    attention = type(net.get_submodule("vit.layers.0.attention"))
    monkeypatch.setattr("vitprune.model.anatomy.names._declared", dict(_declared))
    names = AttentionNames(query="v_proj", key="k_proj", value="q_proj", output="o_proj")
    declare(attention, names)
    with pytest.raises(UsageError, match=r"structure of .* is not what vitprune assumes"):
        check(tmp_path, "vit", HeadDim())


def test_channels_that_plain_loading_cannot_express_are_reported(tmp_path, lines):
    check(tmp_path / "vit", "vit", Width())
    assert "channels of the residual stream" not in lines()
    check(tmp_path / "clip", "clip", Width())
    assert "Only load_pruned, pt2 and ONNX can have fewer channels" in lines()


@pytest.mark.parametrize("name", ["timm_eva02", "timm_siglip"])
def test_channels_that_cannot_be_removed_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="the code of the model fixes its width"):
        check(tmp_path, name, Width())
