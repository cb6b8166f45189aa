"""What other code writes to kept entries stays, and to pruned entries is undone."""

import pytest
import torch
from torch import nn

from tests.training.own_modules.modules import (
    HALVED,
    WIDTH,
    Call,
    Classifier,
    Sparsities,
    halving,
    mlp,
    pruned_entries,
    weights,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import LayerSelection


def test_weights_clipped_after_every_batch(fit):
    class Clipped(Classifier):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.net[0].weight.data.clamp_(-0.01, 0.01)

    module = Clipped()
    fit(module, halving())
    assert module.net[0].weight.abs().max() <= 0.01
    assert zeros(*weights(module)) == 0.5


@pytest.mark.parametrize("hook", ["setup", "on_fit_start"])
def test_weights_initialised_in_a_hook(fit, hook):
    def initialise(self, **_):
        nn.init.constant_(self.net[0].weight, 3.0)

    class Initialises(Classifier):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-6)

    setattr(Initialises, hook, initialise)
    module, pruning = Initialises(), halving()
    fit(module, pruning)
    kept = module.net[0].weight[pruning.masks[module.net[0].weight]]
    torch.testing.assert_close(kept, torch.full_like(kept, 3.0), rtol=0, atol=1e-3)
    assert zeros(*weights(module)) == 0.5


HOOKS = ["on_train_batch_end", "on_train_epoch_end", "on_validation_epoch_start"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_write_to_pruned_weights_is_undone_before_it_counts_and_reported_once(fit, hook, said):
    seen = []

    @torch.no_grad()
    def overwrite(trainer, module):
        if trainer.current_epoch > 0:
            module.net[2].weight.fill_(1.0)

    class Watched(Classifier):
        def forward(self, x):
            seen.append(zeros(self.net[2].weight))
            return super().forward(x)

    module, pruning = Watched(), halving()
    text = said(lambda: fit(module, pruning, Call(hook, overwrite)))
    assert seen == [0.25] * 8 + [0.5] * 16  # four batches of training, four of validation
    assert text.count("net.2.weight") == 1
    assert torch.equal(
        pruned_entries(pruning.masks, module.net[2].weight), torch.zeros(WIDTH * WIDTH // 2)
    )


def test_a_write_is_reported_once_for_each_module(fit, said):
    @torch.no_grad()
    def overwrite(trainer, module):
        module.net[2].weight.fill_(1.0)

    pruning = halving()
    for _ in range(2):
        write = Call("on_train_batch_end", overwrite)
        text = said(lambda write=write: fit(Classifier(), pruning, write))
        assert text.count("net.2.weight") == 1


class LoRALinear(nn.Module):
    """An adapter as peft makes it: a frozen base layer and the product of two small ones."""

    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        self.base_layer.weight += self.lora_B.weight @ self.lora_A.weight
        return self.base_layer


def adapted() -> Classifier:
    module = Classifier(mlp().requires_grad_(False))
    module.net[2] = LoRALinear(module.net[2])
    return module


def test_the_base_of_an_adapter_is_pruned_where_it_is_named(fit):
    module = adapted()
    start = module.net[2].base_layer.weight.clone()
    pruning = halving(layers=LayerSelection(names=["*.base_layer"]))
    fit(module, pruning)
    base = module.net[2].base_layer.weight
    keep = pruning.masks[base]
    assert zeros(base) == 0.5
    assert torch.equal(base[keep], start[keep])  # frozen
    assert zeros(module.net[2].lora_A.weight, module.net[2].lora_B.weight) == 0


def test_an_adapter_alone_is_not_pruned(fit):
    """The optimizer has only the parameters of adapters, which are not pruned."""
    with pytest.raises(UsageError, match=r"net\.2\.base_layer"):
        fit(adapted(), halving())


def test_an_adapter_merged_after_training_is_masked_on_request(fit):
    module = adapted()
    pruning = halving(layers=LayerSelection(names=["*.base_layer"]))
    fit(module, pruning)
    adapter = module.net[2]
    merged = adapter.base_layer.weight + adapter.lora_B.weight @ adapter.lora_A.weight
    module.net[2] = adapter.merge()
    keep = pruning.masks[module.net[2].weight]
    assert zeros(module.net[2].weight) == 0
    assert list(pruning.masks.restore()) == ["net.2.base_layer.weight"]
    assert list(pruning.masks.restore()) == []
    assert torch.equal(module.net[2].weight[keep], merged[keep])
    assert zeros(module.net[2].weight) == 0.5


def test_an_adapter_merged_in_training_goes_into_kept_weights_only(fit):
    """ReLoRA merges its adapter into the weight several times in training."""

    @torch.no_grad()
    def merge(trainer, module):
        module.net[2].merge()
        module.net[2].lora_B.weight.zero_()

    module = adapted()
    watch = Sparsities(lambda module: [module.net[2].base_layer.weight])
    pruning = halving(layers=LayerSelection(names=["*.base_layer"]))
    start = module.net[2].base_layer.weight.clone()
    fit(module, pruning, watch, Call("on_train_batch_start", merge))
    keep = pruning.masks[module.net[2].base_layer.weight]
    assert watch.seen == HALVED
    assert not torch.equal(module.net[2].base_layer.weight[keep], start[keep])
