"""Evaluate a model under many ways to prune it, chunk by chunk of the images, on all processes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from lightning import Fabric
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from vitprune.evaluation.images import Images
from vitprune.evaluation.journal import Entry, Journal
from vitprune.evaluation.measurement import DENSE, Measurement, Outcome
from vitprune.evaluation.one_shot import pruned
from vitprune.evaluation.replay import Batch, record, replay
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.stages import find_stages, stages_before
from vitprune.pruning.sparsity import sparsity_of
from vitprune.training.evaluate import Evaluation


@torch.no_grad()
def measure(
    net: nn.Module,
    measurements: Sequence[Measurement],
    images: Images,
    journal: Journal,
    fabric: Fabric,
    *,
    show_progress: bool = False,
    reuse_prefix: bool = True,
) -> dict[str, Outcome]:
    """Return the outcome of every measurement by its key, and of the dense model as `dense`.

    In each chunk of the images the dense model runs once and the outputs of its first stages are
    kept; each measurement then runs from the first stage that it changes. Measurements are divided
    among the processes; those that the journal holds are not repeated.

    Args:
        net: A Hugging Face image classifier on the device of `fabric`, in evaluation mode.
        measurements: What to measure.
        images: The images, the same on every process.
        journal: Every result is written to it immediately.
        fabric: The processes.
        show_progress: Whether to draw a progress bar.
        reuse_prefix: Whether the first stages are kept; False runs the whole model every time.

    """
    prefix = _find_prefix(net, measurements) if reuse_prefix else _no_prefix(measurements)
    fabric.barrier()  # no process writes before all have read
    done = journal.read()
    fabric.barrier()
    with _progress_bar(shown=show_progress and fabric.is_global_zero) as progress:
        work = images.chunks * prefix.cost(measurements) / fabric.world_size
        bar = progress.add_task("measuring", total=work)
        for number, chunk in enumerate(images.in_chunks()):
            todo = [m for m in measurements if (m.key, number) not in done]
            skipped = [m for m in measurements if (m.key, number) in done]
            mine = todo[fabric.global_rank :: fabric.world_size]
            progress.advance(bar, prefix.cost(skipped) / fabric.world_size)
            if mine or (DENSE, number) not in done:
                with fabric.autocast():
                    logits = [record(net, prefix.stages, batch) for batch in chunk]
                journal.add(_entry(DENSE, number, chunk, logits, sparsity=0.0))
            for m in mine:
                with (
                    pruned(m.layers, m.sparsity, m.method, m.seed, m.statistics),
                    fabric.autocast(),
                ):
                    start = prefix.starts[m.key]
                    logits = [replay(net, prefix.stages, batch, start) for batch in chunk]
                    sparsity = sparsity_of(m.layers)
                journal.add(_entry(m.key, number, chunk, logits, sparsity))
                progress.advance(bar, prefix.cost([m]))
    fabric.barrier()
    return _outcomes(journal, [DENSE, *(m.key for m in measurements)])


@dataclass(frozen=True)
class _Prefix:
    """The stages of a model whose outputs are kept.

    Attributes:
        stages: The stages, in their order.
        starts: Number of stages before the first one that a measurement changes, by its key.
        count: Number of stages of the model.

    """

    stages: Sequence[nn.Module]
    starts: dict[str, int]
    count: int

    def cost(self, measurements: Iterable[Measurement]) -> int:
        """Return the number of stages that measurements compute, the head included."""
        return sum(self.count + 1 - self.starts[m.key] for m in measurements)


def _find_prefix(net: nn.Module, measurements: Sequence[Measurement]) -> _Prefix:
    stages = find_stages(net)
    starts = {
        m.key: 0
        if m.method.granularity.prunes_channels
        else min(stages_before(_inside(net, layer), stages) for layer in m.layers)
        for m in measurements
    }
    longest = max(starts.values(), default=0)  # later stages are always computed
    return _Prefix(list(stages.values())[:longest], starts, len(stages))


def _no_prefix(measurements: Sequence[Measurement]) -> _Prefix:
    return _Prefix([], {m.key: 0 for m in measurements}, 0)


def _inside(net: nn.Module, layer: Layer) -> Layer:
    """Return a layer under its name in `net`, which may be a part of the model that named it."""
    name = next(name for name, module in net.named_modules() if module is layer.module)
    return replace(layer, name=name)


def _entry(
    key: str, number: int, chunk: Sequence[Batch], logits: Sequence[Tensor], sparsity: float
) -> Entry:
    found = Evaluation.join(
        Evaluation.of_logits(outputs, batch.labels)
        for outputs, batch in zip(logits, chunk, strict=True)
    )
    return Entry(
        key,
        number,
        images=found.images,
        correct=found.correct,
        loss=found.loss_sum,
        sparsity=sparsity,
    )


def _outcomes(journal: Journal, keys: Iterable[str]) -> dict[str, Outcome]:
    """Return the outcome of each key, summed over the chunks in their order."""
    entries: dict[str, list[Entry]] = {}
    for entry in sorted(journal.read().values(), key=lambda entry: entry.chunk):
        entries.setdefault(entry.key, []).append(entry)
    return {key: _total(entries[key]) for key in keys}


def _total(entries: Sequence[Entry]) -> Outcome:
    images = sum(entry.images for entry in entries)
    correct = sum(entry.correct for entry in entries)
    loss = sum(entry.loss for entry in entries)
    return Outcome(correct / images, loss / images, images, entries[0].sparsity)


def _progress_bar(*, shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), disable=not shown)
