"""The two ends of a model: its stem, which reads the image, and its classifier."""

from collections.abc import Iterable, Iterator, Mapping, Set
from operator import methodcaller

from torch import Tensor, nn

from vitprune.model.anatomy.names import CLASSIFIER_PATTERN
from vitprune.model.anatomy.weights import is_transposed

RGB = 3


def find_stem(model: nn.Module, weights: Mapping[str, Tensor], blocks: Set[str]) -> set[str]:
    """Return the layers that turn an image into tokens or feature maps.

    These are the first layer that reads the channels of the image, and, if the model has blocks
    outside of the module that contains this layer, all other layers of that module. If the first
    layer before the blocks reads flattened patches, this layer is the stem.

    Args:
        model: Any module.
        weights: Its linear and convolutional weights by layer name, in the order of its modules.
        blocks: Names of its transformer blocks.

    """
    first = next(
        _image_readers(model, weights),
        next((name for name in weights if blocks and not _is_inside(name, blocks)), None),
    )
    if first is None or _is_inside(first, blocks):
        return set()
    root = _outermost_without_blocks(first, blocks)
    return {name for name in weights if _is_inside(name, {root})}


def _image_readers(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield the convolutions that read the channels of images."""
    channels = {RGB} | {
        count
        for module in model.modules()
        if isinstance(count := getattr(_config(module), "num_channels", None), int)
    }
    for name, weight in weights.items():
        if weight.ndim > 2 and _reads(model, name, weight) in channels:
            yield name


def whole_models(model: nn.Module, weights: Mapping[str, Tensor], blocks: Set[str]) -> list[str]:
    """Return the parts of a module that are whole models, such as a student and its teacher.

    Each has blocks, and a convolution that reads images. Empty if there are fewer than two.
    """
    readers = list(_image_readers(model, weights))
    outer = ""
    while True:
        children = [
            f"{outer}.{n}".lstrip(".") for n, _ in model.get_submodule(outer).named_children()
        ]
        parts = [part for part in children if any(_is_inside(block, {part}) for block in blocks)]
        whole = [part for part in parts if any(_is_inside(name, {part}) for name in readers)]
        if len(whole) > 1:
            return whole
        if len(parts) != 1 or parts[0] in blocks:
            return []
        outer = parts[0]


def _reads(model: nn.Module, name: str, weight: Tensor) -> int:
    """Return the number of input channels of a convolution."""
    module = model.get_submodule(name)
    if is_transposed(module):
        return len(weight)
    groups: int = getattr(module, "groups", 1)
    return weight.shape[1] * groups


def _outermost_without_blocks(name: str, blocks: Set[str]) -> str:
    """Return the outermost module around a layer that has no blocks; without blocks, the layer."""
    if not blocks:
        return name
    parts = name.split(".")
    around = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return next(outer for outer in around if not any(_is_inside(b, {outer}) for b in blocks))


def ask_classifiers(model: nn.Module, weights: Mapping[str, Tensor], blocks: Set[str]) -> set[str]:
    """Return the layers that compute logits, as reported by timm and `transformers`.

    These are `get_classifier` of timm, and the layers of a model of `transformers` with
    `num_labels` outputs.

    Args:
        model: Any module.
        weights: Its linear and convolutional weights by layer name, in the order of its modules.
        blocks: Names of its transformer blocks.

    """
    outside = [name for name in weights if not _is_inside(name, blocks)]
    found: set[str] = set()
    for prefix, module in model.named_modules():
        own = [name for name in outside if _is_inside(name, {prefix})]
        if hasattr(module, "get_classifier"):
            found |= _of_timm(module, own, weights)
        elif _has_labels(module):
            found |= _labelled(module, prefix, own, weights)
    return found


def _has_labels(module: nn.Module) -> bool:
    """Return whether a module is a model of `transformers` that does not wrap one of timm."""
    wraps_timm = any(hasattr(inner, "get_classifier") for inner in module.modules())
    return hasattr(module, "base_model_prefix") and hasattr(module, "num_labels") and not wraps_timm


def named_classifiers(names: Iterable[str], blocks: Set[str]) -> set[str]:
    """Return the last layer of each module outside of the blocks named as a classifier or head.

    Args:
        names: Names of layers that may be classifiers, in the order of the modules.
        blocks: Names of the transformer blocks of the model.

    """
    last: dict[str, str] = {}
    for name in names:
        if _is_inside(name, blocks):
            continue
        parts = name.split(".")
        for count, part in enumerate(parts, start=1):
            if CLASSIFIER_PATTERN.fullmatch(part):
                last[".".join(parts[:count])] = name
                break
    return set(last.values())


def _of_timm(module: nn.Module, names: Iterable[str], weights: Mapping[str, Tensor]) -> set[str]:
    heads: object = methodcaller("get_classifier")(module)
    parameters = {
        id(parameter)
        for head in (heads if isinstance(heads, tuple | list) else (heads,))
        if isinstance(head, nn.Module)
        for parameter in head.parameters()
    }
    return {name for name in names if id(weights[name]) in parameters}


def _labelled(
    module: nn.Module, prefix: str, names: Iterable[str], weights: Mapping[str, Tensor]
) -> set[str]:
    """Return the layers with an output for each label outside of the base model.

    If there is none, the last such layer of the base model is the classifier.
    """
    found = [name for name in names if len(weights[name]) == module.num_labels]
    base = str(module.base_model_prefix)
    if not hasattr(module, base):  # as in CLIP
        return set(found[-1:])
    inside = f"{prefix}.{base}".removeprefix(".")
    return {name for name in found if not _is_inside(name, {inside})} or set(found[-1:])


def _is_inside(name: str, modules: Iterable[str]) -> bool:
    return any(not module or f"{name}.".startswith(f"{module}.") for module in modules)


def _config(module: nn.Module) -> object:
    config = getattr(module, "config", None)
    return getattr(config, "vision_config", config)
