"""The classes of a model, reduced to those of the data."""

from torch import nn
from transformers import PreTrainedModel

from vitprune.model.anatomy.layers import find_layers


def class_names(labels: list[str]) -> dict[str, dict]:
    """Return the configuration fields that name the classes."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }


def find_classes(known: dict[int, str], labels: list[str]) -> list[int] | None:
    """Find classes by name.

    ImageNet classes are lists of synonyms, such as "tench, Tinca tinca"; one synonym is enough.

    Args:
        known: Class names of a model by number, its `config.id2label`.
        labels: Class names to find.

    Returns:
        Their numbers, all different; None if a name is unknown or ambiguous, as "crane" is in
        ImageNet.

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
    """Keep these rows of the classification head, in this order.

    Args:
        net: Model, changed in place.
        classes: Class numbers of the rows.
        labels: New class names.

    Returns:
        Whether the model has a linear head; without one it is not changed.

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
