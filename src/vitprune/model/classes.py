"""The classes of a model, cut down to those of the data."""

from torch import nn
from transformers import PreTrainedModel

from vitprune.model.layers import find_layers


def find_classes(known: dict[int, str], labels: list[str]) -> list[int] | None:
    """Find classes by name.

    The thousand classes of ImageNet are named by synonyms, as in "tench, Tinca tinca"; one of them is enough.

    Args:
        known: Names of a model's classes, by number: its `config.id2label`.
        labels: Names of the classes to find.

    Returns:
        Their numbers; None if one is not there, or names more than one class, as "crane" does in ImageNet.

    """
    numbers: dict[str, set[int]] = {}
    for number, name in known.items():
        for synonym in {name, *name.split(", ")}:
            numbers.setdefault(synonym, set()).add(number)
    found = [numbers.get(label, set()) for label in labels]
    return [min(candidates) for candidates in found] if all(len(candidates) == 1 for candidates in found) else None


def keep_classes(net: PreTrainedModel, classes: list[int], labels: list[str]) -> PreTrainedModel:
    """Keep these rows of the classifier, in this order.

    Args:
        net: Is changed in place.
        classes: Their numbers.
        labels: What they are called from now on.

    Returns:
        The same model.

    """
    for layer in find_layers(net):
        if layer.role == "classifier":
            _keep_rows(layer.module, classes)
    net.config.id2label = dict(enumerate(labels))
    net.config.label2id = {name: number for number, name in enumerate(labels)}
    net.num_labels = len(labels)
    return net


def _keep_rows(layer: nn.Module, rows: list[int]) -> None:
    assert isinstance(layer, nn.Linear)
    layer.weight = nn.Parameter(layer.weight.detach()[rows])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[rows])
    layer.out_features = len(rows)
