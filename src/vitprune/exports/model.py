"""Export a pruned model from Python, without a run or data."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BaseImageProcessor, PreTrainedModel
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.processor import output_size
from vitprune.errors import UsageError
from vitprune.exports.choices import DTYPES, Choices, DType
from vitprune.exports.costs import try_to_count_flops
from vitprune.exports.folder import check_target, writing
from vitprune.exports.image_processor import describe_images, save_processor
from vitprune.exports.nets import copy_net, find_net
from vitprune.exports.report import describe_dense, describe_environment, describe_sparsity
from vitprune.exports.stored import measure_stored, sparsity_in_blocks
from vitprune.exports.verify import logits
from vitprune.exports.write import write_weights
from vitprune.model.anatomy.config import image_shape
from vitprune.runs.pruning_record import UNPRUNED
from vitprune.runs.report import RunReport

IMAGES = 8  # random ones to verify on
SEED = 0


def export(
    model: nn.Module,
    folder: str | Path,
    image_processor: BaseImageProcessor | None = None,
    images: Tensor | None = None,
) -> RunReport:
    """Export a pruned image classifier to a folder that plain `transformers` loads.

    Structure without influence on the logits is physically removed, and the logits of the folder
    are compared with those of the model. The model is not changed.

    Args:
        model: Hugging Face image classifier, or a module that holds one as `net`.
        folder: Folder for `config.json`, `model.safetensors` and `report.json`. It appears whole or
            not at all; an older export there is replaced.
        image_processor: Image processor to save with the model; None saves none.
        images: Images to compare logits on, (B, channels, height, width), as the model takes them;
            by default random ones of the size that the processor makes.

    Returns:
        The content of `report.json`: sparsity, what was removed, and the comparison. Accuracies are
        None.

    Raises:
        UsageError: If the folder holds something that is not an export, or the model cannot be
            exported.
        RuntimeError: If the folder does not reproduce logits and zeros of the model.

    """
    target = check_target(folder)
    original = find_net(model)
    net = copy_net(original)
    images = _random_images(net, image_processor) if images is None else images.cpu().float()
    _check_images(net, images)
    describe_images(net, image_processor)
    sparsity = sparsity_in_blocks(net)
    base_flops = try_to_count_flops(net, images.shape[1:])
    choices = Choices(dtype=_stored_type(original.dtype))

    with writing(target) as scratch:
        written = write_weights(net, sparsity.zeros, scratch, images, choices)
        if image_processor is not None:
            save_processor(image_processor, net, scratch)
        report = RunReport(
            finished=True,
            is_best=False,
            sparsity=describe_sparsity(sparsity),
            base=describe_dense(UNPRUNED, sparsity.parameters, base_flops, written.base_bytes),
            pruned=measure_stored(written.loaded, scratch, images.shape[1:]),
            rounds=[],
            shrunk=written.shrunk,
            formats={},
            verification=written.verification,
            environment=describe_environment(None, None, torch.device("cpu")),
        )
        report.write(scratch.report)
    return report


def _random_images(net: PreTrainedModel, processor: BaseImageProcessor | None) -> Tensor:
    """Return random images of the size that the processor makes, or else of the model's own."""
    if isinstance(processor, TorchvisionBackend):
        shape = (len(processor.image_mean), *output_size(processor))
    else:
        shape = image_shape(net.config)
    return torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(SEED))


def _check_images(net: PreTrainedModel, images: Tensor) -> None:
    """Raise `UsageError` if the model does not accept these images."""
    try:
        if images.ndim == 4 and len(images):
            logits(net, images[:1])
            return
    except (ValueError, RuntimeError, AssertionError):  # of transformers, torch and timm
        pass
    raise UsageError(
        f"images must have the shape (B, {', '.join(map(str, image_shape(net.config)))}) with B of "
        f"at least 1, not {tuple(images.shape)}."
    )


def _stored_type(dtype: torch.dtype) -> DType:
    """Return the type to store weights in: that of the model, if it can be stored."""
    return next((name for name, known in DTYPES.items() if known == dtype), "float32")
