"""Backbones without a classifier, as image classifiers whose logits are their features."""

from pathlib import Path

import torch
from transformers import AutoModel, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.model.headless import body_of
from vitprune.model.loading import explaining, read_net
from vitprune.model.unused import find_unused
from vitprune.runs.atomic import replacing_folder


def load_classifier_or_features(pretrained: str, option: str) -> tuple[PreTrainedModel, bool]:
    """Load an image classifier, or a backbone; return it and whether its logits are features.

    The features of a backbone are what a classifier of its family would read. The classification
    head is then the identity.

    Args:
        pretrained: Hub name or folder, or `digits`.
        option: Option that names the model, for errors.

    Raises:
        UsageError: If there is no such model, or weights are missing.

    """
    with explaining(pretrained, option) as source:
        found = read_net(source, None)
        if found.head == "loaded":
            return found.net, False
        features = _head_of(found.net).matrix_shape[1]
        net = read_net(source, [str(number) for number in range(features)]).net
        head = _head_of(net)
        with torch.no_grad():
            head.weight.copy_(torch.eye(features))
            if head.bias is not None:
                head.bias.zero_()
        _check_used(net, pretrained, option)
        return net, True


def _check_used(net: PreTrainedModel, pretrained: str, option: str) -> None:
    """Raise `UsageError` if features do not depend on all of a backbone, such as a pooling head."""
    unused = find_unused(net)
    names = [layer.name for layer in find_layers(net) if layer.weight in unused]
    if names:
        raise UsageError(
            f"{option} {pretrained!r} has layers that its features, the mean of the last hidden "
            f"states, do not depend on, such as {names[0]}. They would become useless. Train a "
            "classifier on the backbone, and shrink that."
        )


def save_backbone(net: PreTrainedModel, source: str, folder: Path) -> None:
    """Save the backbone of an image classifier to a folder that `AutoModel` loads.

    Parts that the classifier does not have, such as the pooler of ViT, are those of the original.

    Args:
        net: Image classifier with the backbone.
        source: Hub name or folder of the original backbone.
        folder: Folder to write.

    """
    body = body_of(net)
    original = AutoModel.from_pretrained(source)
    backbone = type(original)(body.config)
    missing, _ = backbone.load_state_dict(body.state_dict(), strict=False)
    parts = original.state_dict()
    backbone.load_state_dict({name: parts[name] for name in missing}, strict=False)
    with replacing_folder(folder) as scratch:
        backbone.save_pretrained(scratch)


def _head_of(net: PreTrainedModel) -> Layer:
    heads = [layer for layer in find_layers(net) if layer.role == "classifier"]
    if len(heads) != 1:
        raise UsageError(
            f"models of type {net.config.model_type!r} have no single linear head that could be "
            "replaced by their features. Add a classifier and train it first."
        )
    return heads[0]
