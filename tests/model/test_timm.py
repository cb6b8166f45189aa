"""Models of timm: folders in its own format and in that of `transformers`, with any head."""

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForImageClassification, TimmWrapperForImageClassification

from tests.conftest import SHARED, needs_shared
from tests.hub import revision, serving
from tests.timm_models import SIZE, TINY, WIDTHS, in_timms_format, save_timm, tiny_timm
from vitprune.data.processor import load_processor
from vitprune.errors import UsageError
from vitprune.model.loading import build_net, load_net

LETTERS = list("abcdefghij")
IMAGES = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
IMAGENET = {
    "input_size": [3, 224, 224],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "crop_pct": 0.9,
}


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3"])
def test_a_folder_as_timm_writes_it(tmp_path, architecture):
    net = tiny_timm(architecture)
    loaded = load_net(str(save_timm(net, tmp_path, LETTERS)), LETTERS)
    assert isinstance(loaded, TimmWrapperForImageClassification)
    assert torch.equal(loaded.eval()(pixel_values=IMAGES).logits, net(IMAGES))
    assert loaded.config.id2label == dict(enumerate(LETTERS))


def test_a_folder_as_transformers_writes_it(tmp_path):
    net = load_net(str(save_timm(tiny_timm(), tmp_path / "timm", LETTERS)))
    net.save_pretrained(tmp_path / "again")
    again = load_net(str(tmp_path / "again"), ["c", "a"]).eval()
    expected = net.eval()(pixel_values=IMAGES).logits[:, [2, 0]]
    torch.testing.assert_close(again(pixel_values=IMAGES).logits, expected)


def test_a_head_for_other_classes_is_new_and_the_user_told(tmp_path, caplog):
    save_timm(tiny_timm(), tmp_path / "ten", LETTERS)
    save_timm(tiny_timm(classes=0), tmp_path / "none")
    with caplog.at_level("INFO"):
        assert load_net(str(tmp_path / "ten"), ["yes", "no"]).timm_model.num_classes == 2
        assert "re-initialising the 10-class head for 2 classes" in caplog.text
        assert load_net(str(tmp_path / "none"), ["yes", "no"]).timm_model.num_classes == 2
        assert "adding a head for 2 classes" in caplog.text


def test_weights_of_another_model_are_refused(tmp_path):
    folder = save_timm(tiny_timm(), tmp_path, LETTERS)
    config = json.loads((folder / "config.json").read_text())
    config["model_args"]["depth"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"missing weights.* such as timm_model\.blocks\.2"):
        load_net(str(folder), LETTERS)


def test_a_model_of_random_weights():
    architecture = {"model_type": "timm_wrapper", "architecture": "vit_tiny_patch16_224"}
    net = build_net(None, {**architecture, "model_args": TINY}, LETTERS)
    assert net(pixel_values=IMAGES).logits.shape == (2, 10)
    with pytest.raises(UsageError, match=r"model.architecture cannot be built: .*nothing"):
        build_net(None, {**architecture, "architecture": "nothing"}, LETTERS)
    with pytest.raises(UsageError, match=r"model.architecture cannot be built: .*no_such_setting"):
        build_net(None, {**architecture, "model_args": {"no_such_setting": 1}}, LETTERS)


def test_without_timm_one_line_says_what_to_install(tmp_path, monkeypatch):
    folder = str(save_timm(tiny_timm(), tmp_path, LETTERS))
    monkeypatch.setitem(sys.modules, "timm", None)  # as Python marks what cannot be imported
    for load in (load_net, load_processor):
        with pytest.raises(UsageError, match=r"is not installed. Run pip install timm"):
            load(folder)
    with pytest.raises(UsageError, match="is a model of timm, which is not installed"):
        build_net(None, {"model_type": "timm_wrapper", "architecture": "vit_tiny"}, LETTERS)


@needs_shared
def test_deit_tiny_in_the_format_of_timm_gives_the_same_logits(tmp_path):
    source = SHARED / "models" / "deit-tiny-patch16-224"
    net = AutoModelForImageClassification.from_pretrained(source).eval()
    folder = in_timms_format(net, "deit_tiny_patch16_224", tmp_path / "deit", **IMAGENET)
    labels = ["tench", "n02102040", "parachute"]
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    loaded = load_net(str(folder), labels).eval()
    expected = net(pixel_values=images).logits[:, [0, 217, 701]]
    torch.testing.assert_close(loaded(pixel_values=images).logits, expected, atol=1e-5, rtol=0)


def test_a_name_of_timm_without_its_place_on_the_hub_is_completed():
    with pytest.raises(UsageError, match=r"Did you mean 'timm/deit_tiny_patch16_224.fb_in1k'\?"):
        load_net("deit_tiny_patch16_224")
    with pytest.raises(UsageError) as refused:
        load_net("deit_tiny")
    assert "Did you mean" not in str(refused.value)


def test_widths_are_those_of_the_folder(tmp_path):
    net = load_net(str(save_timm(tiny_timm(), tmp_path, LETTERS)))
    assert net.config.model_args.items() >= WIDTHS.items()
    assert "num_classes" not in net.config.model_args  # which transformers passes itself


@pytest.mark.slow
def test_a_name_of_timm_on_the_hub(tmp_path):
    """In a process of its own, whose hub is on this machine; there is no image processor."""
    net = tiny_timm()
    save_timm(net, revision(tmp_path, "models", "timm/tiny.of_letters"), LETTERS)
    torch.save((IMAGES, net(IMAGES)), tmp_path / "expected.pt")
    code = f"""
import torch
from vitprune.data.processor import load_processor, output_size
from vitprune.model.loading import load_net
name = "timm/tiny.of_letters"
assert output_size(load_processor(name)) == ({SIZE}, {SIZE})
images, expected = torch.load({str(tmp_path / "expected.pt")!r})
net = load_net(name, ["b", "a"]).eval()
torch.testing.assert_close(net(images).logits, expected[:, [1, 0]])
"""
    with serving(tmp_path) as environment:
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
