"""Every kind of image file, and what becomes of it on its way to the model."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vf
from transformers import ViTImageProcessor

from vitprune.data.augmentation import Augmentation
from vitprune.data.bad_images import BadImage
from vitprune.data.decoding import EncodedImage, UnreadableImageError
from vitprune.data.row_samples import ImageSamples
from vitprune.data.training_transform import TrainingTransform, flip_where


def photo(width=60, height=40, seed=0):
    """Return something smooth with all colours, like a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def half_transparent(image):
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def encode(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def read(data):
    return EncodedImage({"bytes": data, "path": None})


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


KINDS = {
    "jpeg": lambda: encode(photo(), "JPEG"),
    "jpeg, full colour": lambda: encode(photo(), "JPEG", quality=95, subsampling=0),
    "jpeg, progressive": lambda: encode(photo(), "JPEG", progressive=True),
    "jpeg, grey": lambda: encode(photo().convert("L"), "JPEG"),
    "jpeg, CMYK": lambda: encode(photo().convert("CMYK"), "JPEG"),
    "png": lambda: encode(photo(), "PNG"),
    "png, grey": lambda: encode(photo().convert("L"), "PNG"),
    "png, transparent": lambda: encode(half_transparent(photo()), "PNG"),
    "png, grey and transparent": lambda: encode(half_transparent(photo().convert("L")), "PNG"),
    "png, one transparent colour": lambda: encode(
        photo(), "PNG", transparency=photo().getpixel((3, 3))
    ),
    "png, palette": lambda: encode(photo().convert("P"), "PNG"),
    "png, black and white": lambda: encode(photo().convert("1"), "PNG"),
    "webp": lambda: encode(photo(), "WEBP"),
    "gif": lambda: encode(photo(), "GIF"),
    "gif, animated": lambda: encode(
        photo(), "GIF", save_all=True, append_images=[photo(seed=1), photo(seed=2)]
    ),
    "webp, animated": lambda: encode(photo(), "WEBP", save_all=True, append_images=[photo(seed=1)]),
    "bmp": lambda: encode(photo(), "BMP"),
    "tiff": lambda: encode(photo(), "TIFF"),
    "one pixel": lambda: encode(photo(1, 1), "JPEG"),
    "a thin line": lambda: encode(photo(20000, 20), "JPEG"),
    **{f"jpeg, turned {o}": lambda o=o: encode(photo(), "JPEG", exif=exif(o)) for o in range(1, 9)},
    **{f"png, turned {o}": lambda o=o: encode(photo(), "PNG", exif=exif(o)) for o in (3, 6)},
    **{f"webp, turned {o}": lambda o=o: encode(photo(), "WEBP", exif=exif(o)) for o in (3, 6)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_decoded_to_what_pil_makes_of_it(kind):
    image = read(KINDS[kind]())
    plain = ImageOps.exif_transpose(Image.open(io.BytesIO(KINDS[kind]())))
    if "transparent" in kind:
        white = Image.new("RGBA", plain.size, "white")
        plain = Image.alpha_composite(white, plain.convert("RGBA"))
    plain = plain.convert("RGB")
    pixels = image.decode()
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, vf.pil_to_tensor(plain))
    assert (image.height, image.width) == pixels.shape[1:]


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    for form in ("PNG", "TIFF"):
        pixels = read(encode(Image.fromarray(values), form)).decode()
        assert np.array_equal(pixels.numpy(), np.repeat((values >> 8)[None], 3, axis=0))


def test_sixteen_bits_of_three_channels():
    cv_free_png = _png_of_16_bits(np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16))
    assert np.array_equal(read(cv_free_png).decode()[1].numpy(), np.arange(256).reshape(16, 16))


def _png_of_16_bits(values):
    """Return an RGB PNG of 16 bits a channel, which PIL can read but not write."""
    import struct
    import zlib

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = values.shape
    rows = np.repeat(values[:, :, None], 3, axis=2).astype(">u2")
    scanlines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(scanlines))
        + chunk(b"IEND", b"")
    )


BROKEN = {
    "nothing": lambda: b"",
    "text": lambda: b"<html>404</html>",
    "half a jpeg": lambda: encode(photo(), "JPEG")[:400],
    "a jpeg without its end": lambda: encode(photo(), "JPEG")[:-20],
    "half a png": lambda: encode(photo(), "PNG")[:300],
    "half a tiff": lambda: encode(photo(), "TIFF")[:300],
    "numbers of any range": lambda: encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_whole_image_is_refused(kind):
    with pytest.raises(UnreadableImageError):
        read(BROKEN[kind]()).decode()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UnreadableImageError, match="No such file"):
        EncodedImage({"bytes": None, "path": str(tmp_path / "none.jpg")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "`git lfs pull`"),
    ],
)
def test_files_without_an_image_say_what_they_are(tmp_path, content, message):
    (tmp_path / "1.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=message):
        EncodedImage({"bytes": None, "path": str(tmp_path / "1.jpg")})


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": None}])
def test_an_empty_cell_is_refused(cell):
    with pytest.raises(UnreadableImageError, match="empty image cell"):
        EncodedImage(cell)
    bad = ImageSamples(lambda image: {}, 0, "train").make(cell, 0, (1, 7), "row 7")
    assert bad == BadImage("row 7 of the train split is not a readable image: empty image cell")


def training(size=32, **changes):
    processor = ViTImageProcessor(size={"height": size, "width": size})
    return TrainingTransform(processor, Augmentation(**changes))


@pytest.mark.parametrize(
    "kind", ["jpeg", "one pixel", "a thin line", "jpeg, turned 6", "gif, animated", "png, palette"]
)
def test_every_kind_can_be_trained_on(kind):
    torch.manual_seed(0)
    sample = training(randaugment=1, random_erasing=1.0)(read(KINDS[kind]()))
    assert sample["pixel_values"].shape == (3, 32, 32)
    assert sample["pixel_values"].dtype == torch.uint8
    assert sample["flip"].dtype == torch.bool


def test_a_training_image_is_torchvisions_random_crop():
    data = encode(photo(60, 50), "JPEG")  # too small to be decoded at half its size
    crop = v2.RandomResizedCrop(32, scale=(0.5, 1.0), antialias=True)
    for seed in range(20):
        torch.manual_seed(seed)
        ours = training()(read(data))["pixel_values"]
        torch.manual_seed(seed)
        assert torch.equal(ours, crop(read(data).decode()))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_photo_is_decoded_at_a_fraction_of_its_size(orientation):
    data = encode(photo(800, 600), "JPEG", quality=95, exif=exif(orientation))
    assert sorted(read(data).decode_smaller(9.0).shape[1:]) == [75, 100]
    assert sorted(read(data).decode_smaller(3.9).shape[1:]) == [300, 400]
    assert sorted(read(data).decode_smaller(1.9).shape[1:]) == [600, 800]
    assert sorted(read(encode(photo(800, 600), "PNG")).decode_smaller(9.0).shape[1:]) == [600, 800]
    crop = v2.RandomResizedCrop(32, scale=(0.5, 1.0), antialias=True)
    for seed in range(5):
        torch.manual_seed(seed)
        ours = training()(read(data))["pixel_values"].float()
        torch.manual_seed(seed)
        theirs, another = (crop(read(data).decode()).float() for _ in range(2))
        assert (
            ours - theirs
        ).abs().mean() < 5  # of 255: boxes are rounded to whole pixels of the smaller picture
        assert (ours - another).abs().mean() > 8


def test_flips_are_drawn_by_the_worker_and_done_by_the_batch():
    flips = []
    for seed in range(200):
        torch.manual_seed(seed)
        flips.append(training()(read(KINDS["jpeg"]()))["flip"])
    assert 70 < sum(map(int, flips)) < 130
    assert "flip" not in training(horizontal_flip=False)(read(KINDS["jpeg"]()))
    images = torch.arange(2 * 3 * 2 * 4, dtype=torch.uint8).reshape(2, 3, 2, 4)
    flipped = flip_where(images, torch.tensor([True, False]))
    assert torch.equal(flipped[0], vf.horizontal_flip(images[0]))
    assert torch.equal(flipped[1], images[1])
