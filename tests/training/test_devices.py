"""Precision, compilation, accumulation and memory formats, each with masks."""

import functools

import pytest
import torch
import torch._dynamo
from lightning import Callback, seed_everything

from tests.conftest import TINY, quiet_trainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, Linear

LABELS = [str(digit) for digit in range(10)]


class MaskedStaysZero(Callback):
    """After every step: masked weights are zero in the forward pass, and so are their gradients."""

    def __init__(self):
        self.steps = 0

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        for layer in self._pruning(trainer).layers:
            assert not layer.weight.grad[~self._pruning(trainer).masks[layer.weight]].any()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps += 1
        for layer in self._pruning(trainer).layers:
            assert not layer.weight[~self._pruning(trainer).masks[layer.weight]].any()

    @staticmethod
    def _pruning(trainer):
        return next(c for c in trainer.callbacks if isinstance(c, IterativePruning))


def train(folder, compile=False, channels_last=False, gradient_checkpointing=False, **options):
    seed_everything(42, verbose=False)
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY, "initializer_range": 0.1},
        labels=LABELS,
        learning_rate=1e-2,
        compile=compile,
        channels_last=channels_last,
        gradient_checkpointing=gradient_checkpointing,
    )
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 67, "validation": 32}
    )
    pruning, watch = IterativePruning(Linear(0.75, end=2)), MaskedStaysZero()
    trainer = quiet_trainer(folder, callbacks=[pruning, watch], **{"max_epochs": 4, **options})
    trainer.fit(model, data)
    assert watch.steps == 16
    assert pruning.state.finished
    assert pruning.state.sparsity == pytest.approx(0.75, abs=1e-3)
    return {name: value for name, value in model.state_dict().items() if "accuracy" not in name}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_keeps_masked_weights_at_zero(tmp_path, precision):
    weights = train(tmp_path, precision=precision)
    kept = {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(precision, torch.float32)
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {kept}
    assert all(value.isfinite().all() for value in weights.values())


def test_accumulated_gradients_keep_masked_weights_at_zero(tmp_path, plain):
    weights = train(tmp_path, accumulate_grad_batches=3)
    assert any(not torch.equal(weights[name], plain[name]) for name in plain)


def test_channels_last_changes_only_the_memory_format(tmp_path, plain):
    weights = train(tmp_path, channels_last=True)
    name = next(name for name in weights if name.endswith("projection.weight"))
    assert weights[name].is_contiguous(memory_format=torch.channels_last)
    # softmax ignores the bias of the keys: its gradient is rounding, of which Adam takes the sign
    for name, value in plain.items():
        if not name.endswith("k_proj.bias"):
            assert torch.allclose(value, weights[name], atol=1e-3), name


def test_recomputed_activations_change_nothing(tmp_path, plain):
    weights = train(tmp_path, gradient_checkpointing=True)
    assert all(torch.equal(weights[name], plain[name]) for name in plain)


def test_compiled_there_is_one_graph_for_training_and_one_for_evaluation(
    tmp_path, plain, monkeypatch
):
    """The masks change in three rounds. Traced only: a translation to C++ takes minutes."""
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        functools.partialmethod(torch.nn.Module.compile, backend="aot_eager"),
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    weights = train(tmp_path, compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]
    for name, value in plain.items():
        assert torch.allclose(value, weights[name], atol=0.05), name
    torch._dynamo.reset()
