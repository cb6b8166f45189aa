"""Worth it: throughput and latency of pruned models, against the dense one."""

import copy
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from scripts.bench.on_gpu.figures import Figure, describe
from scripts.bench.on_gpu.scale import Scale
from scripts.bench.on_gpu.timing import take_turns
from scripts.bench.shrunk_speed import halve, prune_two_of_four
from vitprune.exports import semi_structured
from vitprune.exports.costs import count_flops
from vitprune.exports.shrinking.shrink import shrink
from vitprune.model.logits import Logits
from vitprune.pruning import Combined, FLOPs, Global, Head, Magnitude, Method, Neuron
from vitprune.pruning.prune import prune

DENSE = "dense"
SHRUNK = "half of heads and neurons"
HALF_FLOPS = "half of the FLOPs by budget"
SPARSE = "2:4"
COMPILED = 64  # graphs that torch.compile may make of one function, for all models and batches


@dataclass(frozen=True)
class Setting:
    """How models run."""

    dtype: torch.dtype
    compiled: bool

    def __str__(self) -> str:
        """Return the settings in words."""
        return f"{str(self.dtype)[6:]}, {'compiled' if self.compiled else 'eager'}"


def worth(scale: Scale) -> Iterator[Figure]:
    """Measure the smallest of the large models; what matters most comes first."""
    name = scale.large_models[0]
    nets = {DENSE: scale.build(name, "cpu"), SHRUNK: halve(scale.build(name, "cpu"))}
    nets[HALF_FLOPS] = _half_flops(scale, name)
    flops = {label: count_flops(net, scale.image_shape(name)) for label, net in nets.items()}
    if scale.on_gpu:
        nets[SPARSE] = prune_two_of_four(scale.build(name, "cpu"))
        flops[SPARSE] = flops[DENSE] // 2  # of the blocks
    for label, count in flops.items():
        yield Figure(f"{label}: speed-up by FLOPs", flops[DENSE] / count)
    settings = [
        Setting(dtype, compiled)
        for compiled in (False, True)
        for dtype in (torch.bfloat16, torch.float16)
    ]
    for setting in settings:
        torch.compiler.reset()
        models = {label: _prepare(scale, label, net, setting) for label, net in nets.items()}
        for size in (4, 1) if scale.quick else (256, 1, 32):
            images, _ = scale.batch(name, size)
            with torch._dynamo.config.patch(recompile_limit=COMPILED):  # noqa: SLF001
                yield from _speeds(scale, setting, models, images.to(setting.dtype), flops)


def _half_flops(scale: Scale, name: str) -> PreTrainedModel:
    """Return a model shrunk to half of its FLOPs; each block has its own widths."""
    net = scale.build(name, "cpu")
    method = Method(Magnitude(), Combined([Head(), Neuron()]), Global(), FLOPs())
    prune(net, method, 0.5, batches=[scale.batch(name, 2, "cpu")])
    return shrink(net, ragged=True)


@torch.inference_mode()
def _prepare(scale: Scale, label: str, net: PreTrainedModel, setting: Setting) -> Logits:
    moved = copy.deepcopy(net).to(scale.device, setting.dtype)
    model = Logits(semi_structured.convert(moved) if label == SPARSE else moved).eval()
    if setting.compiled:
        model.compile(backend=scale.backend, dynamic=False)
    return model


@torch.inference_mode()
def _speeds(
    scale: Scale,
    setting: Setting,
    models: Mapping[str, Logits],
    images: Tensor,
    flops: Mapping[str, int],
) -> Iterator[Figure]:
    """Measure one batch size; a model that cannot run is left out."""
    running: dict[str, Callable[[], object]] = {}
    for label, model in models.items():
        try:
            model(images)  # compiles
        except Exception as error:
            traceback.print_exc()
            name = f"{label}, {setting}, batch {len(images)}"
            yield Figure(name, None, passed=False, note=describe(error))
        else:
            running[label] = partial(model, images)
    calls = 2 if scale.quick else 4
    times = take_turns(running, scale.device, 2 * scale.repeats, calls)
    for label in running:
        speedup = times.ratio(DENSE, label).median
        yield Figure(
            f"{label}, {setting}, batch {len(images)}",
            times.median(label),
            "ms",
            scale.floor_ms(flops[label] * len(images)),
            note=f"{1e3 * len(images) / times.median(label):.0f} images/s, {speedup:.2f} of dense",
        )
