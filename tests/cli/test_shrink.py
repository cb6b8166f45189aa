"""`vitprune shrink`: a smaller model without labels and without training."""

import re

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    ViTImageProcessor,
)

from vitprune import load_pruned
from vitprune.cli.main import main
from vitprune.data.digits import digits
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.model.loading import load_net
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder

FEW = ["--calibration_images", "100", "--test_images", "60"]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Return a folder of digits."""
    folder = tmp_path_factory.mktemp("digits")
    for number, image in enumerate(digits()["train"].select(range(170))["image"]):
        image.save(folder / f"{number}.png")
    return folder


def test_a_third_fewer_flops(unlabelled, tmp_path, capsys):
    export = tmp_path / "small"
    options = ["--images", str(unlabelled), "--output", str(export), "--flops", "0.33", *FEW]
    main(["shrink", "digits", *options])
    printed = capsys.readouterr().out
    dense, small = load_net("digits"), load_pruned(export)
    left = count_flops(small, (3, 16, 16)) / count_flops(dense, (3, 16, 16))
    assert 0.63 < left <= 0.67
    agreement = re.search(r"([\d.]+)% of 60 held-out images get the same class", printed)
    assert agreement
    assert float(agreement[1]) > 80
    report = RunReport.read(ExportFolder(export).report)
    plain = AutoModelForImageClassification.from_pretrained(export)
    assert count_parameters(plain) == report.pruned.parameters < report.base.parameters
    assert count_flops(plain, (3, 16, 16)) == count_flops(small, (3, 16, 16))  # nothing is padded


def test_labels_are_not_read(tmp_path, capsys):
    """A data source of a run is a source of images, too."""
    export = tmp_path / "small"
    options = ["--images", "digits", "--output", str(export), "--parameters", "0.3", *FEW]
    main(["shrink", "digits", *options])
    assert count_parameters(load_pruned(export)) <= 0.7 * count_parameters(load_net("digits"))
    assert str(export) in capsys.readouterr().out


@pytest.mark.slow
def test_a_search_finds_what_heads_and_neurons_give(tmp_path):
    left = []
    for trials in ("0", "6"):
        export = tmp_path / trials
        options = ["--images", "digits", "--output", str(export), "--flops", "0.6", *FEW]
        main(["shrink", "digits", *options, "--search", trials])
        small, dense = load_pruned(export), load_net("digits")
        left.append(count_flops(small, (3, 16, 16)) / count_flops(dense, (3, 16, 16)))
    assert all(0.36 < share <= 0.4 for share in left)
    widths = [RunReport.read(ExportFolder(tmp_path / t).report).shrunk.after for t in ("0", "6")]
    assert widths[0] != widths[1]


def test_a_backbone(tmp_path, capsys):
    torch.manual_seed(0)
    sizes = {"image_size": 16, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 2}
    dense = AutoModel.from_config(AutoConfig.for_model("dinov2", num_attention_heads=4, **sizes))
    dense.save_pretrained(tmp_path / "backbone")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "backbone")
    options = ["--images", "digits", "--output", str(tmp_path / "small"), "--flops", "0.3", *FEW]
    main(["shrink", str(tmp_path / "backbone"), *options])
    found = re.search(r"mean cosine similarity of ([\d.]+)", capsys.readouterr().out)
    assert found
    assert float(found[1]) > 0.9
    small = AutoModel.from_pretrained(tmp_path / "small" / "backbone").eval()
    assert count_parameters(small) < 0.8 * count_parameters(dense)
    images = torch.randn(2, 3, 16, 16)
    whole = AutoModelForImageClassification.from_pretrained(tmp_path / "small").eval()
    states = small(pixel_values=images).last_hidden_state
    torch.testing.assert_close(whole(pixel_values=images).logits[:, :32], states[:, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--flops", "0.5", "--parameters", "0.5"],
            "exactly one of --flops, --parameters and --speedup is needed, not ",
        ),
        (["--flops", "1.5"], r"must lie in \(0, 1\), not 1.5"),
        (["--flops", "0.5", "--calibration_images", "0"], "must be at least 1, not 0"),
        (["--flops", "0.5", "--search", "-1"], "--search must be at least 0, not -1"),
        (["--flops", "0.5", "--calibration_images", "170"], "Set --calibration_images to 136"),
        (["--flops", "0.99", *FEW], r"99.00% of the FLOPs cannot be removed. At most [\d.]+% can"),
    ],
)
def test_what_is_refused(unlabelled, tmp_path, capsys, options, message):
    folders = ["--images", str(unlabelled), "--output", str(tmp_path / "small")]
    with pytest.raises(SystemExit):
        main(["shrink", "digits", *folders, *options])
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "small").exists()
