"""Evaluation of models of timm follows timm's own transform, pixel for pixel."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from transformers import AutoImageProcessor, DeiTImageProcessor, ViTImageProcessor

from tests.timm_models import save_timm, tiny_timm
from vitprune.data import ImageData, Normalization
from vitprune.data.processor import load_processor, output_size
from vitprune.data.timm_processor import as_timm, pretrained_cfg_of, timm_processor

CONFIGS = {
    "center": {"input_size": [3, 32, 32], "crop_pct": 0.9, "interpolation": "bicubic"},
    "squash": {"input_size": [3, 32, 32], "crop_mode": "squash", "interpolation": "bilinear"},
    "border": {"input_size": [3, 32, 32], "crop_mode": "border", "crop_pct": 1.0},
    "not square": {"input_size": [3, 32, 48], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]},
}


SIZES = [(80, 120), (120, 80), (160, 80), (80, 80)]  # with even margins of crops


def photographs(folder):
    """Save smooth images of several shapes, and return them."""
    folder.mkdir()
    random = np.random.default_rng(0)
    found = []
    for number, size in enumerate(SIZES):
        coarse = Image.fromarray(random.integers(0, 256, (9, 7, 3), dtype=np.uint8))
        found.append(coarse.resize(size, Image.Resampling.BICUBIC))
        found[-1].save(folder / f"{number}.png")
    return found


def pixels_of(data):
    batch = next(iter(data.predict_dataloader()))
    return data.prepare(batch, torch.device("cpu"))["pixel_values"]


def folder_of_timm(folder, pretrained_cfg):
    file = save_timm(tiny_timm(), folder) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "pretrained_cfg": pretrained_cfg}))
    return str(folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_pixels_are_those_of_timm(tmp_path, name):
    images = photographs(tmp_path / "images")
    folder = folder_of_timm(tmp_path / "model", CONFIGS[name])
    data = ImageData(None, folder, predict_images=str(tmp_path / "images"), num_workers=0)
    transform = create_transform(**resolve_data_config(pretrained_cfg=CONFIGS[name]))
    ours = pixels_of(data)
    assert torch.equal(ours, torch.stack([transform(image) for image in images]))
    assert torch.equal(ours, AutoImageProcessor.from_pretrained(folder)(images)["pixel_values"])
    assert data.image_shape == tuple(CONFIGS[name]["input_size"][1:])
    assert torch.equal(
        data.image_processor(images[0], return_tensors="pt").pixel_values[0], ours[0]
    )


def test_size_mean_and_std_can_be_set(tmp_path):
    folder = folder_of_timm(tmp_path / "model", CONFIGS["center"])
    processor = load_processor(folder, 48, Normalization([0.1, 0.2, 0.3], [1.0, 1.0, 1.0]))
    assert output_size(processor) == (48, 48)
    assert processor.crop_pct == 0.9
    assert (processor.image_mean, processor.image_std) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessor(size={"height": 32, "width": 32}, resample=2, image_mean=[0.4, 0.5, 0.6]),
        DeiTImageProcessor(size={"height": 38, "width": 38}, crop_size={"height": 32, "width": 32}),
        DeiTImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}),
        timm_processor(CONFIGS["center"]),
    ],
    ids=["bilinear", "crop", "shortest", "timm"],
)
def test_timm_makes_the_pixels_of_other_processors(tmp_path, processor):
    """Up to one level of 256, since PIL and torchvision round differently."""
    images = photographs(tmp_path / "images")
    transform = create_transform(**resolve_data_config(pretrained_cfg=pretrained_cfg_of(processor)))
    theirs = torch.stack([transform(image) for image in images])
    same = as_timm(processor)
    assert torch.equal(same(images, return_tensors="pt").pixel_values, theirs)
    ours = torch.cat([processor(image, return_tensors="pt").pixel_values for image in images])
    std = torch.tensor(processor.image_std)[:, None, None]
    difference = (ours - theirs).abs() * std * 255
    assert difference.max() < 1.01
    assert difference.mean() < 0.05
