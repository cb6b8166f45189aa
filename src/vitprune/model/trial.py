"""Trial forward passes: whether a model can process images of a size."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.config import RGB, channels_of, image_shape

# what models of transformers and timm raise about images or options that they do not support
CANNOT_RUN = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError)
USUAL_SIDE = 224


def trial_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return the shape of a model's images, or a common one if the model has no fixed size."""
    try:
        return image_shape(config)
    except UsageError:
        return RGB, USUAL_SIDE, USUAL_SIDE


@contextmanager
def trial(net: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode within the context, and restore its mode on exit."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train()  # LeViT caches biases in evaluation until train() is called
        net.train(was_training)


def why_refused(net: PreTrainedModel, height: int, width: int) -> str | None:
    """Return why a model cannot process images of this size; None if its logits are finite.

    Cost: a forward pass of one image.
    """
    shape = (1, channels_of(net.config), height, width)
    try:
        image = torch.zeros(shape, device=net.device, dtype=net.dtype)
        with trial(net), torch.no_grad():
            # net.forward: net() would compile it for a batch of one
            logits: Tensor = net.forward(pixel_values=image).logits
    except CANNOT_RUN as error:
        return first_line(error)
    return None if logits.isfinite().all() else "its logits are not finite"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the class of an error without one.

    A line that ends with a colon is followed by the next one, which says what is wrong.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    shown = lines[:2] if lines[0].endswith(":") else lines[:1]
    return " ".join(line.strip() for line in shown).rstrip(".")
