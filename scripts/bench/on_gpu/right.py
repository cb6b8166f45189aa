"""Right: masks, compiled graphs and exports on the device are those of the CPU."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import AutoModelForImageClassification, PreTrainedModel

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.scale import Scale
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.verify import logits
from vitprune.pruning import (
    Combined,
    Criterion,
    Fisher,
    Global,
    Head,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Movement,
    Neuron,
    NofM,
    Random,
    SparseGPT,
    Taylor,
    Wanda,
)
from vitprune.pruning.criteria.calibration import CalibrationBatch, accumulate_step, calibrate
from vitprune.pruning.update import update_masks

SPARSITY = 0.6
AGREEING = 0.999  # of the entries, if statistics come from another device
TOLERANCE = 1e-4  # of logits in float32, relative to the largest
CRITERIA: dict[str, Callable[[], Criterion]] = {
    criterion.__name__: criterion
    for criterion in (Random, Magnitude, Taylor, Fisher, Wanda, SparseGPT, Movement)
}


def masks(scale: Scale) -> Iterator[Figure]:
    """Compare the masks of every criterion with those of the CPU.

    From the same statistics they are equal; from statistics of each device nearly so, since those
    are rounded differently.
    """
    for name, criterion in CRITERIA.items():
        yield from attempted(f"masks, {name}", partial(_compare, scale, name, criterion))


def _compare(scale: Scale, name: str, kind: Callable[[], Criterion]) -> Iterator[Figure]:
    criterion = kind()
    nets = {device: scale.build(scale.small_model, "cpu") for device in ("cpu", scale.device)}
    nets[scale.device].to(scale.device)
    statistics = {
        device: _statistics(criterion, net, scale.batch(scale.small_model, 32, device))
        for device, net in nets.items()
    }
    for label, method in _methods(name, criterion).items():
        expected = _masks_of(nets["cpu"], method, statistics["cpu"])
        moved = {layer: value.to(scale.device) for layer, value in statistics["cpu"].items()}
        found = _masks_of(nets[scale.device], method, moved)
        different = sum(int((found[key] != expected[key]).sum()) for key in expected)
        yield Figure(f"masks, {label}: entries unlike the CPU's", different, passed=different == 0)
        own = _masks_of(nets[scale.device], method, statistics[scale.device])
        total = sum(mask.numel() for mask in expected.values())
        same = sum(int((own[key] == expected[key]).sum()) for key in expected) / total
        yield Figure(
            f"masks, {label}: equal entries by own statistics", same, passed=same >= AGREEING
        )


def _methods(name: str, criterion: Criterion) -> dict[str, Method]:
    """Return methods with a criterion, by name."""
    methods = {name: Method(criterion), f"{name}, Global": Method(criterion, allocation=Global())}
    if name == "Magnitude":
        structure = Combined([Head(), Neuron()])
        methods["Magnitude, heads and neurons"] = Method(criterion, structure)
    if name == "Wanda":
        methods = {name: Method(criterion), "Wanda, 2:4": Method(criterion, NofM(2, 4))}
    return methods


def _statistics(
    criterion: Criterion, net: PreTrainedModel, batch: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    images, labels = batch
    layers = LayerSelection().select(net)

    def loss() -> Tensor:
        return F.cross_entropy(net(pixel_values=images).logits, labels)

    if criterion.straight_through:
        statistics: dict[str, Tensor] = {}
        loss().backward()
        accumulate_step(criterion, layers, statistics)
        return statistics
    if not criterion.calibrated:
        return {}
    return calibrate(criterion, layers, [CalibrationBatch(loss, len(labels))])


def _masks_of(
    net: PreTrainedModel, method: Method, statistics: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the masks after one update of a copy, on the CPU."""
    changed = copy.deepcopy(net)
    straight_through = method.criterion.straight_through
    found = Masks(LayerSelection().select(changed), straight_through=straight_through)
    sparsity = 0.5 if isinstance(method.granularity, NofM) else SPARSITY
    update_masks(found, method, sparsity, statistics=statistics)
    return {mask.name: mask.keep.cpu() for mask in found}


def graphs(scale: Scale) -> Iterator[Figure]:
    """Count the compiled graphs of a training whose masks change."""
    net = scale.build(scale.small_model).train()
    counter = CompileCounterWithBackend(scale.backend)
    net.compile(backend=counter, fullgraph=True, dynamic=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    layers = LayerSelection().select(net)
    found = Masks(layers)
    found.enforce(optimizer)
    images, labels = scale.batch(scale.small_model, 8)
    for round, sparsity in enumerate((0.2, 0.5, 0.8), start=1):
        update_masks(found, Method(), sparsity, round)
        for _ in range(2):
            with torch.autocast(scale.device, torch.bfloat16):
                F.cross_entropy(net(pixel_values=images).logits, labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    count = counter.frame_count
    yield Figure("compiled graphs in 3 rounds of 2 steps", count, passed=count == 1)
    lost = sum(int(mask.has_nonzero_pruned()) for mask in found)
    yield Figure("compiled: parameters with nonzero pruned entries", lost, passed=lost == 0)


@torch.no_grad()
def export(scale: Scale) -> Iterator[Figure]:
    """Compare the logits of exported models with those of the masked one, in float32."""
    net = scale.build(scale.small_model)
    structure = Combined([Head(), Neuron()])
    update_masks(Masks(LayerSelection().select(net)), Method(granularity=structure), 0.5)
    images, _ = scale.batch(scale.small_model, 8)
    expected = logits(net, images)
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        loaded = AutoModelForImageClassification.from_pretrained(folder)
    yield _difference("export", expected, loaded.to(scale.device).eval(), images, 0.0)
    small = shrink(net.cpu(), ragged=True).to(scale.device)
    yield _difference("shrunk export", expected, small, images, TOLERANCE)


def _difference(
    name: str, expected: Tensor, net: nn.Module, images: Tensor, tolerance: float
) -> Figure:
    largest = float((logits(net, images) - expected).abs().max() / expected.abs().max())
    return Figure(
        f"{name}: largest difference of a logit, relative", largest, passed=largest <= tolerance
    )
