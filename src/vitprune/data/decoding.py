"""Decode image files to uint8 pixels: with torchvision where it gives PIL's pixels, only faster."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as vf

from vitprune.runs.readable import LFS_POINTER

ORIENTATION = 0x0112  # EXIF: from 5 on, width and height are exchanged
TORCHVISION = {(form, mode) for form in ("JPEG", "MPO", "PNG") for mode in ("RGB", "L")}
SCALES = (8, 4, 2)  # factors by which JPEG decoders shrink in the frequency domain


class UnreadableImageError(ValueError):
    """An image that is damaged, of unknown format, or whose pixels are no colours."""


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turn what the two decoders raise into one exception."""
    try:
        yield
    except UnidentifiedImageError as error:  # its text names a different object each time
        raise UnreadableImageError("its format is not known") from error
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)  # the path is known
        raise UnreadableImageError(reason.splitlines()[0].rstrip(".")) from error


class EncodedImage:
    """An image of which only the header is read until its pixels are needed.

    Args:
        image: An undecoded `datasets` image, `bytes` or `path`; None for an empty cell of a table.

    Attributes:
        height: In pixels, upright (EXIF).
        width: In pixels, upright (EXIF).

    Raises:
        UnreadableImageError: If it cannot be read, here or in `decode`.

    """

    @_readable()
    def __init__(self, image: dict | None) -> None:
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise ValueError("empty image cell")
        self.data = image["bytes"]
        if self.data is None:
            self.data = Path(image["path"]).read_bytes()
        if not self.data:
            raise ValueError("the file is empty")
        if self.data.startswith(LFS_POINTER):
            raise ValueError("it is a pointer of Git LFS; fetch the images with `git lfs pull`")
        self.file = Image.open(io.BytesIO(self.data))
        self.width, self.height = self.file.size
        if self.file.getexif().get(ORIENTATION, 1) >= 5:
            self.width, self.height = self.height, self.width

    @_readable()
    def decode(self) -> Tensor:
        """Return all pixels, upright and in RGB, uint8 (3, H, W).

        An animation gives its first frame. Transparent pixels become white, as in `transformers`.
        """
        kind = (self.file.format, self.file.mode)
        if kind in TORCHVISION and "transparency" not in self.file.info:
            data = torch.frombuffer(bytearray(self.data), dtype=torch.uint8)
            pixels = decode_image(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)
            if pixels.dtype == torch.uint8:  # a PNG may have 16 bits per channel
                return pixels
        return vf.pil_to_tensor(_on_white(_eight_bits(ImageOps.exif_transpose(self.file))))

    @_readable()
    def decode_smaller(self, factor: float) -> Tensor:
        """Return the image scaled down by 1, 2, 4 or 8, at most by `factor`.

        Only formats that decode a smaller image for free (JPEG) are scaled down.
        """
        scale = next((scale for scale in SCALES if scale <= factor), 1)
        if scale == 1 or self.file.format not in ("JPEG", "MPO"):
            return self.decode()
        width, height = self.file.size
        self.file.draft(self.file.mode, (max(1, width // scale), max(1, height // scale)))
        return vf.pil_to_tensor(ImageOps.exif_transpose(self.file).convert("RGB"))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits per pixel down to 8; PIL's own conversion would clip them to white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are 32-bit numbers of an unknown range (mode {image.mode})")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """Return an image in RGB, on a white background where it is transparent."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
