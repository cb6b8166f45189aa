"""Weights that other code computes are left alone, or pruned behind it, or refused by name."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from tests.training.own_modules.modules import (
    Call,
    Classifier,
    Sparsities,
    halving,
    mlp,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import LayerSelection

OTHER = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "weight_norm by hooks": nn.utils.weight_norm,
    "spectral_norm by hooks": nn.utils.spectral_norm,
    "torch.nn.utils.prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.75),
}
deprecated = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")


@deprecated
@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("layers", [None, LayerSelection(exclude=["net.2"])], ids=["", "excluded"])
def test_a_weight_that_other_code_computes(fit, name, layers):
    """The other layers are pruned, and this one still is what the other code makes of it."""
    module = Classifier(mlp())
    OTHER[name](module.net[2])
    others = Sparsities(lambda module: [module.net[0].weight, module.net[4].weight])
    pruning = halving(layers=layers)
    fit(module, pruning, others)
    assert others.seen[-1] == 0.5
    layer = module.net[2]
    module(torch.ones(1, 16))
    if name == "orthogonal":
        torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(32))
    if name.startswith("weight_norm") and hasattr(layer, "weight_g"):
        torch.testing.assert_close(layer.weight.norm(dim=1, keepdim=True), layer.weight_g.abs())
    if name == "torch.nn.utils.prune":
        assert zeros(layer.weight) >= 0.75
        prune.remove(layer, "weight")
        assert zeros(layer.weight) >= 0.75


@deprecated
@pytest.mark.parametrize("name", OTHER)
def test_it_is_named(fit, name, said):
    module = Classifier(mlp())
    OTHER[name](module.net[2])
    assert said(lambda: fit(module, halving())).count("net.2") == 1


def replace(layer):
    layer.weight = nn.Parameter(layer.weight.detach().clone())


@pytest.mark.parametrize("change", [parametrizations.weight_norm, replace])
def test_a_weight_that_is_replaced_between_rounds_is_named(fit, change):
    def once(trainer, module):
        if trainer.current_epoch == 1:
            change(module.net[2])

    with pytest.raises(UsageError, match="net.2.weight is no longer the parameter that is pruned"):
        fit(Classifier(mlp()), halving(), Call("on_train_epoch_start", once))


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_it_can_be_taken_off_afterwards(fit, name):
    module, pruning = Classifier(mlp()), halving()
    OTHER[name](module.net[2])
    fit(module, pruning)
    module.eval()
    x = torch.ones(2, 16)
    logits = module(x)
    nn.utils.parametrize.remove_parametrizations(module.net[2], "weight")
    pruning.masks.remove()
    torch.testing.assert_close(module(x), logits)
    assert type(module.net[2]) is nn.Linear
