"""The classes of a model, reduced to those of the data."""

from collections.abc import Mapping

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.model.anatomy.layers import find_layers
from vitprune.model.imagenet import are_unnamed, imagenet_classes, is_imagenet, synonyms


def class_names(labels: list[str]) -> dict[str, dict]:
    """Return the configuration fields that name the classes."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }


def name_classes(config: PreTrainedConfig, labels: list[str]) -> None:
    """Name the classes in a configuration; their number becomes that of the names."""
    config.update(class_names(labels))
    if hasattr(config, "label_names"):  # the name in configurations of timm
        config.label_names = list(labels)
    if hasattr(config, "label_descriptions"):  # describe the previous classes
        del config.label_descriptions


def find_classes(known: Mapping[int, str], labels: list[str]) -> list[int] | None:
    """Find classes by name.

    ImageNet classes are lists of synonyms, such as "tench, Tinca tinca"; a synonym or the WordNet
    id matches.

    Args:
        known: Class names of a model by number, its `config.id2label`.
        labels: Class names to find.

    Returns:
        Their numbers, all different; None if a name is unknown or ambiguous, such as "crane" in
        ImageNet.

    """
    numbers: dict[str, set[int]] = {}
    for number, aliases in _aliases(known).items():
        for alias in aliases:
            numbers.setdefault(alias, set()).add(number)
    found: list[int] = []
    for label in labels:
        candidates = numbers.get(label) or numbers.get(imagenet_classes().get(label, ""), set())
        if len(candidates) != 1:
            return None
        found += candidates
    return found if len(set(found)) == len(labels) else None


def _aliases(known: Mapping[int, str]) -> dict[int, set[str]]:
    """Return all names and ids of each class, by its number."""
    ids = imagenet_classes()
    found = {
        number: synonyms(name) | synonyms(ids.get(name, name)) for number, name in known.items()
    }
    if is_imagenet(known):
        unnamed = are_unnamed(known)
        for number, (synset, name) in enumerate(ids.items()):
            found[number] |= {synset, *(synonyms(name) if unnamed else ())}
    return found


def keep_classes(net: PreTrainedModel, classes: list[int], labels: list[str]) -> bool:
    """Keep these rows of the classification head, in this order.

    Args:
        net: Model, changed in place.
        classes: Class numbers of the rows.
        labels: New class names.

    Returns:
        Whether the model has a linear head; without one it is not changed.

    """
    had = net.config.num_labels
    classifiers = [
        layer.module
        for layer in find_layers(net)
        if layer.role == "classifier" and len(layer.weight) == had
    ]
    for classifier in classifiers:
        _keep_rows(classifier, classes)
    if not classifiers:
        return False
    name_classes(net.config, labels)
    net.num_labels = len(labels)
    for module in net.modules():  # of timm
        if getattr(module, "num_classes", None) == had:
            module.num_classes = len(labels)
    return True


def _keep_rows(layer: nn.Module, rows: list[int]) -> None:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    layer.weight = nn.Parameter(layer.weight.detach()[rows])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[rows])
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = len(rows)
    else:
        layer.out_features = len(rows)
