"""A scan of tiny models on random images."""

import torch
from lightning import Fabric

from vitprune.evaluation.grouping import group_layers
from vitprune.evaluation.journal import Journal
from vitprune.evaluation.measure import measure
from vitprune.evaluation.replay import Batch
from vitprune.evaluation.sensitivity import plan
from vitprune.pruning import (
    Column,
    Element,
    Magnitude,
    Method,
    Random,
    Row,
)

METHODS = [Method(c, g) for c in (Magnitude(), Random()) for g in (Element(), Row(), Column())]


def one_batch(images: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randn(images, 3, 16, 16, generator=generator), torch.arange(images) % 10)


class ThreeBatches:
    """Twelve images in two chunks."""

    chunks = 2

    def in_chunks(self):
        generator = torch.Generator().manual_seed(2)
        batches = [
            Batch(torch.randn(4, 3, 16, 16, generator=generator), torch.arange(4)) for _ in range(3)
        ]
        yield batches[:2]
        yield batches[2:]


def scan(net, folder, layers, by="layer", method=METHODS[0], **options):
    groups = group_layers(layers, by, method.granularity)
    planned = plan(groups, [0.3, 0.8], method, seed=1)
    journal = Journal(folder)
    journal.open({"by": by})
    return measure(
        net, list(planned.values()), ThreeBatches(), journal, Fabric(accelerator="cpu"), **options
    )
