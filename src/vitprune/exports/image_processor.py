"""The settings in an export from which its users prepare images.

A model of `transformers` has them in `preprocessor_config.json`, a model of timm in `config.json`,
which both timm and `AutoImageProcessor` read.
"""

import copy

from transformers import BaseImageProcessor, PreTrainedModel

from vitprune.data import ImageData
from vitprune.data.timm_processor import as_timm, pretrained_cfg_of
from vitprune.model.timm import is_timm
from vitprune.runs.run_folder import ExportFolder

OF_MODEL = ("first_conv", "classifier", "fixed_input_size")  # timm builds it from these
OF_OTHER_CLASSES = ("num_classes", "label_names", "label_descriptions", "label_offset")


def as_exported(data: ImageData, net: PreTrainedModel) -> ImageData:
    """Return data whose images are prepared by the settings in the model's export."""
    if not is_timm(net.config):
        return data
    data = copy.copy(data)
    data.image_processor = as_timm(data.image_processor)
    return data


def describe_images(net: PreTrainedModel, processor: BaseImageProcessor | None) -> None:
    """Write the settings of a processor into the configuration of a model of timm.

    Args:
        net: Image classifier, changed in place if it is a model of timm.
        processor: Image processor; None keeps the settings of the configuration.

    """
    if not is_timm(net.config):
        return
    ours = net.timm_model.pretrained_cfg
    known = dict(getattr(net.config, "pretrained_cfg", None) or {})
    known |= {name: ours[name] for name in OF_MODEL if name in ours}
    if processor is not None:
        of_timm = getattr(processor, "data_config", None)  # TimmWrapperImageProcessor
        known |= of_timm or pretrained_cfg_of(processor)
    net.config.pretrained_cfg = {
        name: value for name, value in known.items() if name not in OF_OTHER_CLASSES
    }


def save_processor(
    processor: BaseImageProcessor, net: PreTrainedModel, folder: ExportFolder
) -> None:
    """Save an image processor with its model; see `describe_images` for one of timm."""
    if not is_timm(net.config):
        processor.save_pretrained(folder.path)
