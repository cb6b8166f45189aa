"""Pretrained models as a dense baseline, or as the teacher of a distillation."""

from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.config import image_shape
from vitprune.model.classes import find_classes, keep_classes
from vitprune.model.loading import load_net
from vitprune.model.resizing import for_images_of


def build_reference(
    pretrained: str, net: PreTrainedModel, option: str = "model.pretrained"
) -> PreTrainedModel:
    """Load a pretrained model for the image size and the classes of another one.

    Its head keeps the rows of these classes if it has all of them by name.

    Args:
        pretrained: Hub name or folder, or `digits`.
        net: The other model.
        option: Option that names the model, for errors.

    Raises:
        UsageError: If there is no such model, or it cannot be used at that image size.

    """
    reference = load_net(pretrained, option=option)
    labels = list(net.config.id2label.values())
    if classes := find_classes(reference.config.id2label, labels):
        keep_classes(reference, classes, labels)
    try:
        _, side, _ = image_shape(net.config)
    except UsageError:  # such models process any size
        return reference
    return for_images_of(reference, side)
