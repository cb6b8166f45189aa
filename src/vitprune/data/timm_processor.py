"""Image processors of models of timm: its own evaluation transform, pixel for pixel."""

from collections.abc import Callable
from functools import cache
from math import floor, nextafter
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as vf
from transformers import BatchFeature
from transformers.image_processing_backends import TorchvisionBackend

NAMES = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's number


class TimmImageProcessor(TorchvisionBackend):
    """The evaluation transform of timm in the interface of `transformers`.

    `TimmWrapperImageProcessor` of `transformers` applies the same transform, but always normalises,
    which this project does on the device.

    Args:
        input_size: (channels, height, width) of the model's input.
        interpolation: Name of the interpolation, such as `bicubic`.
        mean: Mean per channel of pixel values in [0, 1].
        std: Standard deviation per channel of pixel values in [0, 1].
        crop_pct: Side of the crop relative to that of the resized image, in (0, 1].
        crop_mode: `center` resizes the shorter side, `border` the longer one, `squash` both.

    """

    def __init__(
        self,
        *,
        input_size: tuple[int, int, int],
        interpolation: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        crop_pct: float,
        crop_mode: str,
    ) -> None:
        height, width = input_size[1:]
        super().__init__(
            do_resize=True,
            size={"height": floor(height / crop_pct), "width": floor(width / crop_pct)},
            resample=NAMES.index(interpolation),
            do_center_crop=True,
            crop_size={"height": height, "width": width},
            do_rescale=True,
            rescale_factor=1 / 255,
            do_normalize=True,
            image_mean=tuple(mean),
            image_std=tuple(std),
            do_convert_rgb=True,
        )
        self.interpolation = interpolation
        self.crop_pct = crop_pct
        self.crop_mode = crop_mode

    def _preprocess(
        self,
        images: list[Tensor],
        do_rescale: bool,  # noqa: FBT001  # as transformers calls it
        do_normalize: bool,  # noqa: FBT001
        return_tensors: str | None,
        **settings: Any,
    ) -> BatchFeature:
        """Resize and crop images, uint8 (3, H, W), one by one."""
        size = (self.crop_size["height"], self.crop_size["width"])
        transform = _geometry(
            size, self.interpolation, self.crop_pct, self.crop_mode, self.image_mean
        )
        pixels = torch.stack([transform(vf.to_pil_image(image)) for image in images])
        if do_rescale and do_normalize:
            pixels = self.rescale_and_normalize(pixels)
        return BatchFeature({"pixel_values": pixels}, tensor_type=return_tensors)

    def rescale_and_normalize(self, images: Tensor, *settings: Any) -> Tensor:
        """Rescale and normalise uint8 images, (B, 3, H, W), in the steps of timm."""
        mean, std = (
            torch.tensor(values, device=images.device)[:, None, None]
            for values in (self.image_mean, self.image_std)
        )
        return images.float().div_(255).sub_(mean).div_(std)


@cache
def _geometry(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float,
    crop_mode: str,
    mean: tuple[float, ...],
) -> Callable[[Image], Tensor]:
    """Return the transform of timm from an image to uint8 (3, H, W)."""
    from timm.data import create_transform  # timm is an extra

    return create_transform(
        size,
        interpolation=interpolation,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        mean=mean,  # fills borders
        normalize=False,
    )


def timm_processor(
    pretrained_cfg: dict[str, Any],
    image_size: int | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> TimmImageProcessor:
    """Return the image processor of a model of timm; explicit settings override its own.

    Args:
        pretrained_cfg: `pretrained_cfg` of the model.
        image_size: Height and width of the model's input, in pixels.
        mean: Mean per channel.
        std: Standard deviation per channel.

    """
    from timm.data import resolve_data_config

    settings = resolve_data_config(pretrained_cfg=pretrained_cfg)
    if image_size:
        settings["input_size"] = (settings["input_size"][0], image_size, image_size)
    return TimmImageProcessor(**settings | _given(mean=mean, std=std))


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def as_timm(processor: TorchvisionBackend) -> TimmImageProcessor:
    """Return timm's processor with the settings of another processor; see `pretrained_cfg_of`."""
    if isinstance(processor, TimmImageProcessor):
        return processor
    return TimmImageProcessor(**pretrained_cfg_of(processor))


def pretrained_cfg_of(processor: TorchvisionBackend) -> dict[str, Any]:
    """Return the fields of `pretrained_cfg` with which timm makes the pixels of a processor.

    For a processor other than timm's, resized pixels may be rounded differently, and a crop with an
    odd margin may be shifted by one pixel.
    """
    crop = processor.crop_size if processor.do_center_crop else processor.size
    height = crop.height or crop.shortest_edge
    width = crop.width or crop.shortest_edge
    fields: dict[str, Any] = {
        "input_size": [3, height, width],
        "interpolation": NAMES[int(processor.resample)],
        "mean": list(processor.image_mean),
        "std": list(processor.image_std),
    }
    if isinstance(processor, TimmImageProcessor):
        names = ("interpolation", "crop_pct", "crop_mode")
        return fields | {name: getattr(processor, name) for name in names}
    resized = processor.size.height or processor.size.shortest_edge
    return fields | {
        "crop_pct": _fraction(height, resized),
        "crop_mode": "squash" if processor.size.height else "center",
    }


def _fraction(crop: int, resized: int) -> float:
    """Return the fraction from which timm computes this size before the crop, rounding down."""
    fraction = crop / resized
    return fraction if floor(crop / fraction) == resized else nextafter(fraction, 0)
