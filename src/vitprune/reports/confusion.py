"""Images that the pruned model classifies differently from the dense one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from vitprune.data import ImageData
from vitprune.model.logits import Logits
from vitprune.training.evaluate import evaluate


@dataclass(frozen=True)
class ClassChange:
    """Accuracy of both models on one class.

    Attributes:
        name: Name of the class.
        images: Number of its images.
        dense: Accuracy of the dense model on them, in [0, 1].
        pruned: Accuracy of the pruned model on them, in [0, 1].

    """

    name: str
    images: int
    dense: float
    pruned: float

    @property
    def change(self) -> float:
        """Change in accuracy, in [-1, 1]."""
        return self.pruned - self.dense


@dataclass(frozen=True)
class Confusion:
    """Images of one class that only the pruned model assigns to one other class.

    Attributes:
        label: Name of their class.
        prediction: Name of the class that the pruned model predicts.
        images: Number of these images.

    """

    label: str
    prediction: str
    images: int


@dataclass(frozen=True)
class Comparison:
    """Predictions of the dense and the pruned model on the same images.

    Attributes:
        labels: Class number of each image.
        dense: Prediction of the dense model for each image.
        pruned: Prediction of the pruned model for each image.
        names: Names of the classes in the order of their numbers.

    """

    labels: list[int]
    dense: list[int]
    pruned: list[int]
    names: Sequence[str]

    def class_changes(self) -> list[ClassChange]:
        """Return the change of every class with images, the largest drop first."""
        images = Counter(self.labels)
        dense = self._correct(self.dense)
        pruned = self._correct(self.pruned)
        changes = [
            ClassChange(name, images[n], dense[n] / images[n], pruned[n] / images[n])
            for n, name in enumerate(self.names)
            if images[n]
        ]
        return sorted(changes, key=lambda change: change.change)

    def _correct(self, predictions: Sequence[int]) -> Counter[int]:
        """Return the number of correct predictions by class."""
        pairs = zip(self.labels, predictions, strict=True)
        return Counter(label for label, prediction in pairs if label == prediction)

    def new_confusions(self) -> list[Confusion]:
        """Return what only the pruned model confuses, the most frequent first."""
        predictions = zip(self.labels, self.dense, self.pruned, strict=True)
        wrong = Counter(
            (label, pruned) for label, dense, pruned in predictions if dense == label != pruned
        )
        return [
            Confusion(self.names[label], self.names[pruned], images)
            for (label, pruned), images in wrong.most_common()
        ]


def compare_predictions(
    dense: PreTrainedModel, pruned: PreTrainedModel, data: ImageData, images: int
) -> Comparison:
    """Classify the first validation images with both models.

    Args:
        dense: Hugging Face image classifier.
        pruned: Another one with the same classes.
        data: Data module with the validation images.
        images: Number of images, rounded up to whole batches.

    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches = -(-images // data.batch_size)
    of_dense, of_pruned = (
        evaluate(Logits(net).to(device).eval(), data.validation_batches(device, batches))
        for net in (dense, pruned)
    )
    return Comparison(
        of_dense.labels.tolist(),
        of_dense.predictions.tolist(),
        of_pruned.predictions.tolist(),
        data.class_names or [],
    )
