"""Exports of timm models load by timm and by plain transformers, with the pixels of the run."""

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTImageProcessor

from tests.timm_models import SIZE, save_timm, tiny_timm
from vitprune.errors import UsageError
from vitprune.exports.load import load_pruned
from vitprune.exports.model import export
from vitprune.model.loading import build_net, load_net
from vitprune.pruning import Element, Method, prune

LABELS = ["seven", "three", "one"]
IMAGES = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
BILINEAR = {"resample": 2, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}


def pruned(folder):
    net = load_net(str(save_timm(tiny_timm(), folder, list("abcdefghij"))), LABELS).eval()
    prune(net, Method(granularity=Element()), 0.5)
    return net


def test_the_folder_loads_everywhere(tmp_path):
    net = pruned(tmp_path / "timm")
    expected = net(pixel_values=IMAGES).logits
    processor = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, **BILINEAR)
    report = export(net, tmp_path / "export", processor)
    assert report.verification.largest_logit_difference == 0
    assert {file.name for file in (tmp_path / "export").iterdir()} == {
        "config.json",
        "model.safetensors",
        "report.json",
    }
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
    plain = AutoModelForImageClassification.from_pretrained(tmp_path / "export").eval()
    assert torch.equal(by_timm(IMAGES), expected)
    assert torch.equal(plain(IMAGES).logits, expected)
    assert torch.equal(load_pruned(tmp_path / "export")(IMAGES).logits, expected)
    assert torch.equal(load_net(str(tmp_path / "export"))(IMAGES).logits, expected)
    assert (by_timm.num_classes, by_timm.pretrained_cfg["label_names"]) == (3, LABELS)
    assert list(plain.config.id2label.values()) == LABELS


def test_both_loaders_make_the_pixels_of_the_processor(tmp_path):
    processor = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, **BILINEAR)
    export(pruned(tmp_path / "timm"), tmp_path / "export", processor)
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True)
    image = Image.linear_gradient("L").resize((100, 80)).convert("RGB")
    ours = processor(image, return_tensors="pt").pixel_values[0]
    plain = AutoImageProcessor.from_pretrained(tmp_path / "export")(image).pixel_values[0]
    theirs = create_transform(**resolve_model_data_config(by_timm))(image)
    assert torch.equal(plain, theirs)
    torch.testing.assert_close(plain, ours, atol=1.01 / 255 / 0.2, rtol=0)  # one level of 256


def test_timm_adapts_the_folder_to_other_classes(tmp_path):
    export(pruned(tmp_path / "timm"), tmp_path / "export")
    name = f"local-dir:{tmp_path / 'export'}"
    assert timm.create_model(name, pretrained=True, num_classes=5)(IMAGES).shape == (2, 5)
    assert timm.create_model(name, pretrained=True, num_classes=0)(IMAGES).shape == (2, 32)


def test_a_model_of_random_weights_is_exported(tmp_path):
    """Its configuration says nothing about images."""
    architecture = {"model_type": "timm_wrapper", "architecture": "resnet18"}
    settings = {"model_args": {"channels": [8, 8, 16, 16]}}
    net = build_net(None, architecture | settings, LABELS).eval()
    with pytest.raises(UsageError, match="does not state the size of its images. Give images"):
        export(net, tmp_path / "export")
    export(net, tmp_path / "export", images=IMAGES)
    processor = ViTImageProcessor(size={"height": SIZE, "width": SIZE})
    export(net, tmp_path / "export", processor)
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
    assert torch.equal(by_timm(IMAGES), net(pixel_values=IMAGES).logits)
    assert resolve_model_data_config(by_timm)["input_size"][1:] == [SIZE, SIZE]
