"""Score a model under many ways to prune it, chunk by chunk of the images, on every process of a Fabric."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
from torch import nn

from vitprune.data import ImageData
from vitprune.evaluation.journal import Entry, Journal
from vitprune.evaluation.one_shot import pruned
from vitprune.evaluation.replay import Batch, correct_and_loss, record, replay
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.stages import find_stages, stages_before
from vitprune.pruning import Method
from vitprune.pruning.sparsity import sparsity_of

DENSE = "dense"


@dataclass(frozen=True)
class Measurement:
    """One way to prune a model at once.

    Attributes:
        key: Its name, unlike that of any other.
        layers: What is pruned.
        sparsity: Of these layers, in (0, 1).
        method: How.
        seed: Seed of random scores.
        statistics: What the criterion learned, by name of the layer.

    """

    key: str
    layers: Sequence[Layer]
    sparsity: float
    method: Method
    seed: int
    statistics: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What a model made of all the images.

    Attributes:
        accuracy: In [0, 1].
        loss: Mean cross-entropy.
        images: How many there were.
        sparsity: Of the layers that were pruned, as it was reached: whole groups, and what had
            fallen before, may make it another than was asked for.

    """

    accuracy: float
    loss: float
    images: int
    sparsity: float


class ValidationBatches:
    """The validation images, in chunks of whole batches.

    Args:
        data: Has the images.
        device: Where they are wanted.
        images_in_memory: Images in a chunk, at most, but at least a batch.
        limit: Take only so many batches; None for all.

    """

    def __init__(
        self, data: ImageData, device: torch.device, images_in_memory: int, limit: int | None = None
    ) -> None:
        self.data, self.device = data, device
        self.size = max(1, images_in_memory // data.batch_size)
        self.count = min(there := len(data.whole_validation()), limit or there)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return math.ceil(self.count / self.size)

    def in_chunks(self) -> Iterator[list[Batch]]:
        """Yield the batches of each chunk."""
        batches = self.data.validation_batches(self.device, self.count)
        for _ in range(self.chunks):
            chunk = itertools.islice(batches, self.size)
            yield [Batch(batch["pixel_values"], batch["labels"]) for batch in chunk]


@torch.no_grad()
def measure(
    net: nn.Module,
    measurements: Sequence[Measurement],
    batches: ValidationBatches,
    journal: Journal,
    fabric: Fabric,
    show_progress: bool = False,
    reuse_prefix: bool = True,
) -> dict[str, Score]:
    """Score every measurement, and the dense model as `dense`.

    The images are taken in chunks. In a chunk the dense model runs once and what enters every block
    is kept; each measurement then runs from the first block that it changes. Measurements are
    spread over the processes; those in the journal are not repeated.

    Args:
        net: A Hugging Face image classifier on the device of `fabric`, in evaluation mode.
        measurements: What to score.
        batches: The images, the same on every process; of those of one chunk the hidden states at
            every block are kept.
        journal: Where every result goes at once.
        fabric: The processes.
        show_progress: Draw a bar with an estimate of the time left.
        reuse_prefix: False runs the whole model for every measurement.

    """
    stages = find_stages(net) if reuse_prefix else {}
    starts = {
        m.key: min(stages_before(_inside(net, layer), stages) for layer in m.layers)
        for m in measurements
    }
    costs = {key: len(stages) + 1 - start for key, start in starts.items()}
    modules = list(stages.values())[
        : max(starts.values(), default=0)
    ]  # what comes later is never answered from memory
    fabric.barrier()  # nobody writes before everybody has read
    done = journal.read()
    fabric.barrier()
    with _progress(show_progress and fabric.is_global_zero) as progress:
        bar = progress.add_task(
            "measuring", total=batches.chunks * sum(costs.values()) / fabric.world_size
        )
        for number, chunk in enumerate(batches.in_chunks()):
            todo = [m for m in measurements if (m.key, number) not in done]
            mine = todo[fabric.global_rank :: fabric.world_size]
            progress.advance(
                bar, sum(costs[m.key] for m in measurements if m not in todo) / fabric.world_size
            )
            if mine or (DENSE, number) not in done:
                with fabric.autocast():
                    journal.add(
                        _sum(
                            DENSE,
                            number,
                            chunk,
                            [record(net, modules, batch) for batch in chunk],
                            0.0,
                        )
                    )
            for m in mine:
                with (
                    pruned(m.layers, m.sparsity, m.method, m.seed, m.statistics),
                    fabric.autocast(),
                ):
                    logits = [replay(net, modules, batch, starts[m.key]) for batch in chunk]
                    sparsity = sparsity_of(m.layers)
                journal.add(_sum(m.key, number, chunk, logits, sparsity))
                progress.advance(bar, costs[m.key])
    fabric.barrier()
    return _totals(journal, [DENSE, *(m.key for m in measurements)])


def _inside(net: nn.Module, layer: Layer) -> Layer:
    """Return a layer under its name in `net`, which may be part of a larger module that gave it a longer name."""
    name = next(name for name, module in net.named_modules() if module is layer.module)
    return Layer(name, layer.module, layer.role, layer.block)


def _sum(
    key: str, number: int, chunk: Sequence[Batch], logits: Sequence[torch.Tensor], sparsity: float
) -> Entry:
    scores = [
        correct_and_loss(scores, batch.labels) for scores, batch in zip(logits, chunk, strict=True)
    ]
    correct, losses = zip(*scores, strict=True)
    return Entry(
        key, number, sum(len(batch.labels) for batch in chunk), sum(correct), sum(losses), sparsity
    )


def _totals(journal: Journal, keys: Iterable[str]) -> dict[str, Score]:
    entries = sorted(journal.read().values(), key=lambda entry: entry.chunk)
    totals = {}
    for key in keys:
        mine = [entry for entry in entries if entry.key == key]
        images = sum(entry.images for entry in mine)
        right, loss = sum(entry.correct for entry in mine), sum(entry.loss for entry in mine)
        totals[key] = Score(right / images, loss / images, images, mine[0].sparsity)
    return totals


def _progress(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), disable=not shown)
