"""The classes of a model, cut down to those of the data."""

from torch import nn
from transformers import PreTrainedModel

from vitprune.model.anatomy.layers import find_layers


def class_names(labels: list[str]) -> dict[str, dict]:
    """Return the fields of a configuration that name its classes."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }


def find_classes(known: dict[int, str], labels: list[str]) -> list[int] | None:
    """Find classes by name.

    The thousand classes of ImageNet are named by synonyms, as in "tench, Tinca tinca"; one of them
    is enough.

    Args:
        known: Names of a model's classes, by number: its `config.id2label`.
        labels: Names of the classes to find.

    Returns:
        Their numbers, all different; None if one is not there, or names more than one class, as
        "crane" does in ImageNet.

    """
    numbers: dict[str, set[int]] = {}
    for number, name in known.items():
        for synonym in {name, *name.split(", ")}:
            numbers.setdefault(synonym, set()).add(number)
    found = [
        min(candidates) for label in labels if len(candidates := numbers.get(label, set())) == 1
    ]
    return found if len(set(found)) == len(labels) else None


def keep_classes(net: PreTrainedModel, classes: list[int], labels: list[str]) -> bool:
    """Keep these rows of the classifier, in this order.

    Args:
        net: Is changed in place.
        classes: Their numbers.
        labels: What they are called from now on.

    Returns:
        Whether the model has a classifier that can be cut; else it stays as it was.

    """
    classifiers = [layer.module for layer in find_layers(net) if layer.role == "classifier"]
    for classifier in classifiers:
        _keep_rows(classifier, classes)
    if not classifiers:
        return False
    net.config.update(class_names(labels))
    net.num_labels = len(labels)
    return True


def _keep_rows(layer: nn.Module, rows: list[int]) -> None:
    assert isinstance(layer, nn.Linear)
    layer.weight = nn.Parameter(layer.weight.detach()[rows])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[rows])
    layer.out_features = len(rows)
