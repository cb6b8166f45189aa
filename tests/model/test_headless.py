"""Backbones for which `transformers` has no image classifier get a linear head."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

from vitprune.errors import UsageError
from vitprune.model.loading import build_net, load_net

SIZES = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
STAGES = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]}
OWN = {
    "dinov3_vit": SIZES,
    "dinov3_convnext": STAGES,
    "aimv2_vision_model": SIZES,
    "mlcd_vision_model": SIZES,
    "pixio": SIZES,
}
TOWERS = {"clip_vision_model": SIZES, "siglip_vision_model": SIZES}
LABELS = ["yes", "no", "perhaps"]
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def save_backbone(model_type, settings, folder):
    torch.manual_seed(0)
    net = AutoModel.from_config(AutoConfig.for_model(model_type, **settings)).eval()
    net.save_pretrained(folder)
    return net


@pytest.mark.parametrize("model_type", OWN)
def test_a_backbone_gets_a_head_on_its_pooled_output(model_type, tmp_path, caplog):
    backbone = save_backbone(model_type, OWN[model_type], tmp_path / "backbone")
    with caplog.at_level("INFO"):
        net = load_net(str(tmp_path / "backbone"), LABELS).eval()
    assert "adding a head for 3 classes" in caplog.text
    pooled = backbone(IMAGES).pooler_output
    torch.testing.assert_close(net(pixel_values=IMAGES).logits, net.classifier(pooled))
    net.save_pretrained(tmp_path / "whole")
    again = load_net(str(tmp_path / "whole"), ["no", "yes"]).eval()
    expected = net(pixel_values=IMAGES).logits[:, [1, 0]]
    torch.testing.assert_close(again(pixel_values=IMAGES).logits, expected)


@pytest.mark.parametrize("model_type", TOWERS)
def test_a_vision_tower_becomes_the_classifier_of_its_family(model_type, tmp_path):
    tower = save_backbone(model_type, TOWERS[model_type], tmp_path / "tower")
    net = load_net(str(tmp_path / "tower"), LABELS).eval()
    assert net.config.id2label == dict(enumerate(LABELS))
    ours, theirs = net.vision_model.state_dict(), tower.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    net.save_pretrained(tmp_path / "whole")
    plain = AutoModelForImageClassification.from_pretrained(tmp_path / "whole").eval()
    assert type(plain).__module__.startswith("transformers.")
    assert torch.equal(plain(IMAGES).logits, net(IMAGES).logits)


@pytest.mark.slow
def test_the_folder_of_dinov3_loads_by_plain_transformers(tmp_path):
    save_backbone("dinov3_vit", SIZES, tmp_path / "backbone")
    net = load_net(str(tmp_path / "backbone"), LABELS).eval()
    net.save_pretrained(tmp_path / "whole")
    torch.save((IMAGES, net(IMAGES).logits), tmp_path / "expected.pt")
    code = f"""
import sys, torch
from transformers import AutoModelForImageClassification
folder = {str(tmp_path / "whole")!r}
net = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True).eval()
images, expected = torch.load({str(tmp_path / "expected.pt")!r})
assert torch.equal(net(images).logits, expected)
assert "vitprune" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"HF_HOME": str(tmp_path), "PATH": ""}
    )


def test_images_of_any_shape_are_refused(tmp_path):
    settings = {**SIZES, "num_patches": 16}
    del settings["image_size"]
    save_backbone("siglip2_vision_model", settings, tmp_path)
    message = "is a SigLIP 2 model of the NaFlex kind.* Use a SigLIP 2 model of a fixed size"
    with pytest.raises(UsageError, match=message):
        load_net(str(tmp_path), LABELS)
    with pytest.raises(UsageError, match=message):
        build_net(None, {"model_type": "siglip2"}, LABELS)


def test_what_has_no_classifier_is_named(tmp_path):
    save_backbone("vit_mae", {**SIZES, "decoder_num_hidden_layers": 1}, tmp_path)
    with pytest.raises(UsageError, match="has no image classifier for models of type vit_mae"):
        load_net(str(tmp_path), LABELS)


def test_missing_weights_of_a_backbone_are_named(tmp_path):
    save_backbone("dinov3_vit", SIZES, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    config.num_hidden_layers = 3
    config.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"missing weights.* such as model\.layer\.2"):
        load_net(str(tmp_path), LABELS)


def test_without_labels_a_backbone_is_refused(tmp_path):
    save_backbone("dinov3_vit", SIZES, tmp_path)
    with pytest.raises(UsageError, match="its classification head has no weights"):
        load_net(str(tmp_path))
