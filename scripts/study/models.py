"""The dense model, the layers that every row prunes, and stored weights."""

from torch import Tensor, nn

from scripts.study.budget import Budget
from vitprune.model.classes import find_classes
from vitprune.model.loading import build_net
from vitprune.pruning import LayerSelection


def dense_model(budget: Budget) -> nn.Module:
    """Return the dense model, with a classifier for the classes of the data.

    Raises:
        SystemExit: If the model does not know the classes by name, or the data has fewer training
            images than the budget.

    """
    net = build_net(budget.model, None, None)
    if not find_classes(net.config.id2label, budget.labels):
        raise SystemExit(
            f"{budget.model} does not know the classes of the data by name: "
            f"{', '.join(budget.labels)}. Use a --model that was trained on them."
        )
    images = len(budget.data().splits["train"])
    if images != budget.images:
        raise SystemExit(
            f"--images is {budget.images}, and the data has {images} training images. "
            f"Set --images to {images} or less."
        )
    return build_net(budget.model, None, budget.labels)


def prunable_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that every row prunes: all linear layers except the classifier."""
    return [layer.module for layer in LayerSelection().select(net)]


def count_nonzero(net: nn.Module) -> int:
    """Return the number of nonzero weights in the layers that every row prunes."""
    weights = [layer.get_parameter("weight") for layer in prunable_layers(net)]
    return sum(int(weight.count_nonzero()) for weight in weights)


def load_weights(net: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Replace all parameters of a model, in place; the new ones may have smaller shapes.

    Raises:
        RuntimeError: If the names are not those of the model's parameters.

    """
    if strange := weights.keys() ^ net.state_dict().keys():
        raise RuntimeError(
            f"These weights do not belong to the model: {', '.join(sorted(strange))} differ. "
            "Remove the masks before saving."
        )
    for name, weight in weights.items():
        module, _, leaf = name.rpartition(".")
        setattr(net.get_submodule(module), leaf, nn.Parameter(weight))
    return net
