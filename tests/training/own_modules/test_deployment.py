"""What is done with a model after its training, with or without its masks."""

import copy

import pytest
import torch
from torch import nn

from tests.training.own_modules.modules import (
    HALVED,
    Classifier,
    Sparsities,
    halving,
    have_the_same_parameters,
    weights,
    zeros,
)


@pytest.fixture(params=[False, True], ids=["masked", "removed"])
def trained(fit, request):
    """Return a net after its training, before and after `masks.remove()`."""
    module, pruning = Classifier(), halving()
    fit(module, pruning)
    if request.param:
        pruning.masks.remove()
    return module.net.eval()


X = torch.linspace(-1, 1, 48).view(3, 16)


def test_torch_export(trained):
    program = torch.export.export(trained, (X,))
    torch.testing.assert_close(program.module()(X), trained(X))
    assert sorted(program.state_dict) == sorted(trained.state_dict())
    assert zeros(*[p for p in program.parameters() if p.dim() > 1]) == 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx(fit, tmp_path):
    """While the masks are on."""
    onnxruntime = pytest.importorskip("onnxruntime")
    module = Classifier()
    fit(module, halving())
    trained = module.net.eval()
    torch.onnx.export(trained, (X,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (name,) = [value.name for value in session.get_inputs()]
    (logits,) = session.run(None, {name: X.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), trained(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_dynamic_quantization(trained):
    quantized = torch.ao.quantization.quantize_dynamic(
        copy.deepcopy(trained), {nn.Linear}, dtype=torch.qint8
    )
    values = quantized[2].weight().dequantize()
    assert zeros(values) >= 0.5
    assert not values[trained[2].weight == 0].any()
    torch.testing.assert_close(quantized(X), trained(X), rtol=0.2, atol=0.1)


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated")
def test_torch_script(trained):
    traced = torch.jit.trace(trained, X)
    torch.testing.assert_close(traced(X), trained(X))


def test_pickling_and_safe_loading(trained, tmp_path):
    torch.save(trained, tmp_path / "net.pt")
    loaded = torch.load(tmp_path / "net.pt", weights_only=False)
    assert have_the_same_parameters(loaded, trained)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    trained.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), strict=True)


def test_sharing_memory_and_changing_type(trained):
    assert zeros(*weights(copy.deepcopy(trained).half())) == 0.5
    assert zeros(*weights(trained.double())) == 0.5


@pytest.mark.parametrize("which", ["net", "net, wrapped", "module"])
def test_compiled_before_training(fit, which):
    plain, compiled = Classifier(), Classifier()
    fit(plain, halving())
    watch = Sparsities()
    if which == "net":
        compiled.net.compile(backend="eager")
        fit(compiled, halving(), watch)
    elif which == "net, wrapped":  # whose names have `_orig_mod` in them
        compiled.net = torch.compile(compiled.net, backend="eager")
        fit(compiled, halving(), watch)
    else:
        fit(torch.compile(compiled, backend="eager"), halving(), watch)
    assert watch.seen == HALVED
    for ours, theirs in zip(weights(compiled), weights(plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class CompiledStep(Classifier):
    """The optimizer's step is compiled, as in torch's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def on_fit_start(self):
        self.step = torch.compile(self.optimizers().optimizer.step, backend="eager")

    def training_step(self, batch, batch_idx):
        self.optimizers().zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        self.step()


def test_a_compiled_step_of_the_optimizer(fit):
    plain, compiled, watch = Classifier(), CompiledStep(), Sparsities()
    fit(plain, halving())
    fit(compiled, halving(), watch)
    assert watch.seen == HALVED
    for ours, theirs in zip(weights(compiled), weights(plain), strict=True):
        torch.testing.assert_close(ours, theirs)
