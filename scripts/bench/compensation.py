"""Accuracy just after pruning, without fine-tuning, with and without compensation.

    python -m scripts.bench.compensation --model FOLDER --images FOLDER [--calibration 1024]
    [--limit N]

The model keeps all of its classes, and the classes of the images are among them by name. Prints the
accuracy on the validation images in per cent: of the dense model, and for each structure by
magnitude, by variance, and by variance with `Mean` and with `Ridge`. The calibration images are a
choice of the training images.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedModel

from vitprune.data import ImageData
from vitprune.model.classes import find_classes
from vitprune.pruning import (
    Allocation,
    Combined,
    Compensation,
    Criterion,
    Granularity,
    Head,
    HeadDim,
    Magnitude,
    Mean,
    Method,
    Neuron,
    PerLayer,
    Ridge,
    Uniform,
    Variance,
    prune,
)
from vitprune.pruning.criteria.calibration import BATCH_SIZE, sample
from vitprune.training.evaluate import evaluate

SEED = 42
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Structure:
    """One structure to prune.

    Attributes:
        name: In the table.
        granularity: Groups.
        allocation: Shares of the layers.
        sparsity: Sparsity of the layers together.

    """

    name: str
    granularity: Granularity
    allocation: Allocation
    sparsity: float = 0.5


MLP_AND_SCORES = {
    **dict.fromkeys(("query", "key", "mlp_in", "mlp_out"), 0.5),
    **dict.fromkeys(("value", "attn_out"), 0.0),
}
STRUCTURES = (
    Structure("half of the neurons", Neuron(), Uniform()),
    Structure("half of the neurons and heads", Combined([Neuron(), Head()]), Uniform()),
    Structure(
        "half of the neurons and query/key dimensions",
        Combined([Neuron(), HeadDim()]),
        PerLayer(MLP_AND_SCORES),
        sparsity=5 / 12,  # attention has 4 of 12 parts, of which a quarter is pruned
    ),
)
METHODS: dict[str, tuple[Criterion, Compensation | None]] = {
    "magnitude": (Magnitude(), None),
    "variance": (Variance(), None),
    "variance, Mean": (Variance(), Mean()),
    "variance, Ridge": (Variance(), Ridge()),
}


class Comparison:
    """A dense model and decoded images.

    Args:
        model: Folder of an image classifier.
        images: Folder of images with the splits train and validation.
        calibration: Number of calibration images.
        limit: Number of validation images; None for all.

    """

    def __init__(self, model: str, images: str, calibration: int, limit: int | None) -> None:
        self.model = model
        some = {} if limit is None else {"validation": limit}
        data = ImageData(images, model, batch_size=BATCH_SIZE, num_workers=0, max_images=some)
        numbers = find_classes(self.load().config.id2label, data.class_names or [])
        if numbers is None:
            raise SystemExit(f"{model} does not know the classes of {images} by name.")
        self.numbers = torch.tensor(numbers)
        device = torch.device("cpu")
        chosen = sample(data.calibration_dataloader(), calibration, SEED)
        self.calibration = [self._labelled(data.prepare(batch, device)) for batch, _ in chosen]
        self.validation = list(map(self._labelled, data.validation_batches(device)))

    def load(self) -> PreTrainedModel:
        """Return the dense model."""
        net: PreTrainedModel = AutoModelForImageClassification.from_pretrained(self.model)
        return net.eval()

    def _labelled(self, batch: Batch) -> Batch:
        """Return a batch with the labels of the model."""
        return {"pixel_values": batch["pixel_values"], "labels": self.numbers[batch["labels"]]}

    def accuracy(self, net: PreTrainedModel) -> float:
        """Return the accuracy among all classes of the model, in [0, 1]."""
        return evaluate(lambda images: net(pixel_values=images).logits, self.validation).accuracy

    def pruned(self, structure: Structure, name: str) -> PreTrainedModel:
        """Return the model pruned by a method."""
        criterion, compensation = METHODS[name]
        method = Method(
            criterion, structure.granularity, structure.allocation, compensation=compensation
        )
        net = self.load()
        prune(net, method, structure.sparsity, batches=self.calibration)
        return net

    def show(self, structures: Sequence[Structure]) -> None:
        """Print the table, cell by cell."""
        print(f"{'dense':64}{self.accuracy(self.load()):6.1%}", flush=True)
        for structure in structures:
            for name in METHODS:
                start = time.perf_counter()
                net = self.pruned(structure, name)
                seconds = time.perf_counter() - start
                accuracy = self.accuracy(net)
                line = f"{structure.name:46}{name:18}{accuracy:6.1%}  pruned in {seconds:.0f} s"
                print(line, flush=True)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of an image classifier")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument(
        "--calibration", type=int, default=1024, help="calibration images (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, help="validation images (default: all)")
    options = parser.parse_args()
    Comparison(options.model, options.images, options.calibration, options.limit).show(STRUCTURES)


if __name__ == "__main__":
    main()
