"""Masks as parametrizations."""

import copy

import pytest
import torch
import torch._dynamo.testing
from torch import nn

from tests.conftest import (
    quiet_trainer,
    tiny_net,
)
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import (
    Element,
    Global,
    LayerSelection,
    Magnitude,
    Method,
    masks,
)
from vitprune.pruning.sparsity import measure
from vitprune.pruning.update import update_masks


def masked_net(family="vit", sparsity=0.6):
    net = tiny_net(family)
    layers = LayerSelection().select(net)
    masks.attach(layers)
    update_masks(layers, Method(Magnitude(), Element(), Global()), sparsity)
    return net, layers


def test_what_is_zero_is_masked_and_a_bias_with_its_whole_weight():
    layer, pruned, alive, new = (
        Layer("layer", nn.Linear(2, 2), role, block=None)
        for role in ("mlp_out", "mlp_out", "mlp_out", "classifier")
    )
    layer.module.weight.data[0] = 0
    for other in (pruned, alive, new):
        nn.init.zeros_(other.module.weight)
    for other in (layer, pruned, new):
        nn.init.zeros_(other.module.bias)
    for parameter in ("weight", "bias"):
        masks.attach([layer, pruned, alive, new], parameter)
    assert masks.read(layer).tolist() == [[False, False], [True, True]]
    assert masks.read(layer, "bias").all()
    assert not masks.read(pruned).any()
    assert not masks.read(pruned, "bias").any()
    assert not masks.read(alive).any()
    assert masks.read(alive, "bias").all()  # or the model would change
    assert masks.read(new).all()  # a classifier that begins at zero, say
    assert masks.read(new, "bias").all()


def images(count=3):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(5))


OPTIMIZERS = {
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "adam l2": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.5),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16 autocast"])
def test_masked_weights_stay_zero_and_get_no_gradient(optimizer, precision):
    net, layers = masked_net(sparsity=0.0)
    steps = OPTIMIZERS[optimizer](net.parameters())
    for step in range(6):
        if step == 2:  # the optimizer has momentum for these weights by now
            update_masks(layers, Method(Magnitude(), Element(), Global()), 0.7)
        for _ in range(2):  # accumulation
            with torch.autocast("cpu", torch.bfloat16, enabled=precision != "float32"):
                nn.functional.cross_entropy(
                    net(pixel_values=images()).logits, torch.tensor([1, 2, 3])
                ).backward()
        if step >= 2:
            for layer in layers:
                gradient = layer.module.parametrizations.weight.original.grad
                assert gradient[~masks.read(layer)].eq(0).all()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        steps.step()
        steps.zero_grad()
        if step >= 2:
            for layer in layers:
                pruned = layer.weight[~masks.read(layer)]
                assert pruned.eq(0).all()
                assert not torch.signbit(pruned).any()
    assert measure(net, layers).prunable == pytest.approx(0.7, abs=1e-4)


def test_clipping_sees_the_norm_of_the_kept_weights_only():
    net, layers = masked_net()
    nn.functional.cross_entropy(
        net(pixel_values=images()).logits, torch.tensor([1, 2, 3])
    ).backward()
    kept = [p.grad for n, p in net.named_parameters() if "original" not in n]
    kept += [
        layer.module.parametrizations.weight.original.grad[masks.read(layer)] for layer in layers
    ]
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1e9)
    assert norm == pytest.approx(torch.cat([g.flatten() for g in kept]).norm().item(), rel=1e-5)


def test_a_nan_under_the_mask_stays_out_of_the_forward_pass():
    layer = Layer("layer", nn.Linear(4, 4), "other", None)
    masks.attach([layer])
    masks.read(layer)[0, 0] = False
    with torch.no_grad():
        layer.module.parametrizations.weight.original[0, 0] = torch.nan
    assert layer.module(torch.ones(1, 4)).isfinite().all()


def test_masks_of_ones_change_nothing(family):
    net = tiny_net(family)
    before = net(pixel_values=images()).logits
    masks.attach(LayerSelection().select(net))
    assert torch.equal(net(pixel_values=images()).logits, before)


def test_attaching_twice_keeps_what_is_there():
    net, layers = masked_net()
    before = masks.read(layers[0]).clone()
    masks.attach(layers)
    assert torch.equal(masks.read(layers[0]), before)
    assert len(layers[0].module.parametrizations.weight) == 1


def test_removal_leaves_the_logits_and_every_zero(family):
    net, layers = masked_net(family)
    logits, sparsity = net(pixel_values=images()).logits, measure(net, layers)
    names = [layer.name for layer in layers]
    masks.remove(net)
    assert torch.equal(net(pixel_values=images()).logits, logits)
    assert sorted(net.state_dict()) == sorted(tiny_net(family).state_dict())
    after = measure(net, [layer for layer in LayerSelection().select(net) if layer.name in names])
    assert after == sparsity


def test_a_checkpoint_is_loaded_masks_and_all_outside_of_a_trainer(tmp_path):
    model = ViTClassifier("digits")
    layers = LayerSelection().select(model)
    masks.attach(layers)
    update_masks(layers, Method(), 0.6)
    trainer = quiet_trainer(tmp_path)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "masked.ckpt")
    loaded = masks.load_from_checkpoint(ViTClassifier, tmp_path / "masked.ckpt")
    assert measure(loaded) == measure(model)
    pixels = torch.randn(2, 3, 32, 32)[
        ..., : model.net.config.image_size, : model.net.config.image_size
    ]
    assert torch.equal(loaded.eval()(pixels), model.eval()(pixels))
    with pytest.raises(UsageError, match="is of another model"):
        masks.load_state_dict(tiny_net(), loaded.state_dict())
    with pytest.raises(
        UsageError, match=r"classifier.weight is of shape \(7, 32\) in the checkpoint"
    ):
        masks.load_state_dict(tiny_net(), tiny_net(classes=7).state_dict())


def test_a_masked_model_can_be_copied(family):
    net, _ = masked_net(family)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(pixel_values=images()).logits, net(pixel_values=images()).logits)


def test_multi_head_attention_follows_the_mask():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    layer = Layer("out", attention.out_proj, "other", None)
    masks.attach([layer])
    x = torch.randn(1, 3, 8)
    before = attention(x, x, x)[0]
    masks.read(layer)[:] = False
    assert not torch.equal(attention(x, x, x)[0], before)
    assert torch.equal(attention(x, x, x)[0], attention.out_proj.bias.expand(1, 3, 8))


def test_compiled_once_whatever_the_mask():
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    layer = Layer("0", net[0], "other", None)
    masks.attach([layer])
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for row in range(4):
        masks.read(layer)[row] = False
        assert torch.equal(compiled(torch.ones(1, 8)), net(torch.ones(1, 8)))
    assert counter.frame_count == 1


def test_an_old_mask_does_not_stay_alive():
    """The state has one byte a weight more than the dense model, however many rounds there were."""
    net, layers = masked_net(sparsity=0.1)
    size = sum(v.numel() * v.element_size() for v in net.state_dict().values())
    for round in range(2, 8):
        update_masks(layers, Method(Magnitude(), Element(), Global()), 0.1 * round, round)
    assert sum(v.numel() * v.element_size() for v in net.state_dict().values()) == size
    dense = sum(v.numel() * v.element_size() for v in tiny_net().state_dict().values())
    assert size == dense + sum(layer.weight.numel() for layer in layers)
