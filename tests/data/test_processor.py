"""Evaluation follows the image processor of the model."""

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, DeiTImageProcessor, ViTImageProcessor

from tests.data.files import module
from vitprune.data import Normalization
from vitprune.data.processor import load_processor, output_size


@pytest.mark.parametrize(
    "reference",
    [
        ViTImageProcessor(size={"height": 32, "width": 32}, resample=2),
        ViTImageProcessor(size={"height": 32, "width": 32}, resample=3, image_mean=[0.4, 0.5, 0.6]),
        DeiTImageProcessor(size={"height": 40, "width": 40}, crop_size={"height": 32, "width": 32}),
    ],
    ids=["bilinear", "bicubic", "crop"],
)
def test_evaluation_is_what_the_processor_computes(tmp_path, image_folder, reference):
    reference.save_pretrained(tmp_path / "reference")
    data = module(image_folder, str(tmp_path / "reference"))
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    assert batch["pixel_values"].dtype == torch.uint8
    ours = data.prepare(batch, torch.device("cpu"))["pixel_values"]
    plain = AutoImageProcessor.from_pretrained(tmp_path / "reference")
    files = [Image.open(row["image"]["path"]).convert("RGB") for row in data.splits["validation"]][
        : len(ours)
    ]
    assert torch.equal(ours, plain(files, return_tensors="pt")["pixel_values"])


def test_size_mean_and_std_can_be_set(image_folder, processor):
    data = module(
        image_folder,
        processor,
        image_size=8,
        normalization=Normalization([0.1, 0.2, 0.3], [1.0, 1.0, 1.0]),
    )
    data.setup("validate")
    batch = data.prepare(next(iter(data.val_dataloader())), torch.device("cpu"))["pixel_values"]
    assert batch.shape[1:] == (3, 8, 8)
    assert data.image_processor.image_mean == (0.1, 0.2, 0.3)
    assert data.image_shape == (8, 8)


@pytest.mark.parametrize(
    "size", [{"height": 40, "width": 48}, {"shortest_edge": 40}], ids=["both", "shortest"]
)
def test_what_is_cropped_keeps_its_margin_at_another_size(tmp_path, size):
    DeiTImageProcessor(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    same, half = (load_processor(str(tmp_path), side) for side in (32, 16))
    assert same.to_dict() == load_processor(str(tmp_path)).to_dict()
    assert half.to_dict()["size"] == {name: pixels // 2 for name, pixels in size.items()}
    assert output_size(half) == (16, 16)
