"""The size of the images against the model's own."""

import json

import pytest
from transformers import AutoModelForImageClassification, ViTImageProcessor

from tests.cli.arguments import DIGITS, SMALL
from tests.model.small_models import small_net
from vitprune.cli.main import main

PROCESSED = 32  # pixels


@pytest.fixture
def run(tmp_path):
    """Return a function that trains a family, with a processor of 32 pixels, on digits."""

    def fit(family, *options, **changes):
        net = small_net(family, **changes)
        folder = tmp_path / family
        net.save_pretrained(folder)
        ViTImageProcessor(size={"height": PROCESSED, "width": PROCESSED}).save_pretrained(folder)
        arguments = [
            "--config=oneshot.yaml",
            f"--model.pretrained={folder}",
            "--data.source=digits",
            "--trainer.max_epochs=2",
            f"--trainer.default_root_dir={tmp_path}",
        ]
        main(["fit", *arguments, *SMALL, *DIGITS, *options])
        return tmp_path / "lightning_logs" / "version_0" / "export"

    return fit


def test_a_model_that_accepts_other_sizes_is_kept_as_it_is(run):
    """DINOv2 is published with a configuration of 518 pixels and a processor of 224."""
    export = run("dinov2", image_size=64)
    assert json.loads((export / "config.json").read_text())["image_size"] == 64
    AutoModelForImageClassification.from_pretrained(export)


def test_a_model_without_a_size_sees_any(run):
    assert (run("convnext", "--data.image_size=48") / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_a_vision_tower_is_adapted_to_another_size(run, family):
    export = run(family, "--data.image_size=48")
    config = json.loads((export / "config.json").read_text())
    assert config["vision_config"]["image_size"] == 48
    net = AutoModelForImageClassification.from_pretrained(export)
    assert net.vision_model.embeddings.position_embedding.weight.shape[0] in (36, 37)


def test_another_size_without_a_request_is_refused_with_both_ways_out(run, capsys):
    with pytest.raises(SystemExit):
        run("vit", image_size=64)
    assert (
        "the model needs images of 64x64 pixels, but data.image_size or data.processor makes "
        "them 32x32 (Input image size (32*32) doesn't match model (64*64)). Set data.image_size to "
        "64 to resize the images, or to 32 to adapt the model." in capsys.readouterr().err
    )
