"""A run with a model of timm, from its folder to an export that timm loads."""

import json

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTImageProcessor

from tests.cli.arguments import SMALL
from tests.conftest import SHARED, needs_shared
from tests.data.files import picture
from tests.timm_models import SIZE, in_timms_format, save_timm, tiny_timm
from vitprune.cli.main import main
from vitprune.runs.report import RunReport

COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (200, 50, 40)}
SETTINGS = [
    "--trainer.max_epochs=2",
    "--model.learning_rate=3e-3",
    "--pruning.schedule.class_path=OneShot",
    "--pruning.schedule.init_args.final_sparsity=0.5",
    "--data.batch_size=8",
]


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Return a folder of images of three colours, 42 x 30 pixels."""
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in COLOURS.items():
        for split, count in (("train", 16), ("validation", 6)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = picture((42, 30), seed=number)
                image = Image.blend(noise, Image.new("RGB", (42, 30), colour), 0.6)
                image.save(folder / split / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("labels", [["red", "yellow", "green", "blue"], None])
def test_from_fit_to_both_loaders(tmp_path, colours, labels, caplog):
    classes = len(labels) if labels else 0
    folder = save_timm(tiny_timm(classes=classes), tmp_path / "model", labels)
    arguments = ["--model.pretrained", str(folder), "--data.source", str(colours)]
    with caplog.at_level("INFO"):
        main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path}", *SMALL, *SETTINGS])
    said = "keeping the 3 matching rows of the 4-class head" if labels else "adding a head for 3"
    assert said in caplog.text

    export = tmp_path / "lightning_logs" / "version_0" / "export"
    report = RunReport.read(export / "report.json")
    assert report.sparsity.prunable == pytest.approx(0.5, abs=1e-3)
    assert not (export / "preprocessor_config.json").exists()  # which AutoImageProcessor ignores

    assert 'timm.create_model("local-dir:' in (export / "README.md").read_text()
    by_timm = timm.create_model(f"local-dir:{export}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(by_timm))
    plain = AutoModelForImageClassification.from_pretrained(export).eval()
    processor = AutoImageProcessor.from_pretrained(export)
    assert (
        by_timm.pretrained_cfg["label_names"]
        == list(COLOURS)
        == list(plain.config.id2label.values())
    )
    correct = {"timm": 0, "transformers": 0}
    files = sorted((colours / "validation").rglob("*.png"))
    for file in files:
        image = Image.open(file).convert("RGB")
        number = list(COLOURS).index(file.parent.name)
        pixels = transform(image)[None]
        assert torch.equal(processor(image).pixel_values, pixels)
        correct["timm"] += int(by_timm(pixels).argmax()) == number
        correct["transformers"] += int(plain(pixels).logits.argmax()) == number
    assert set(correct.values()) == {round(report.pruned.accuracy * len(files))}


def test_images_of_another_processor_are_those_of_the_export(tmp_path, colours):
    folder = save_timm(tiny_timm(), tmp_path / "model")
    processor = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, resample=2)
    processor.save_pretrained(tmp_path / "processor")
    arguments = ["--model.pretrained", str(folder), "--data.source", str(colours)]
    arguments += [
        f"--data.processor={tmp_path / 'processor'}",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    main(["fit", *arguments, *SMALL, *SETTINGS])
    export = tmp_path / "lightning_logs" / "version_0" / "export"
    config = json.loads((export / "config.json").read_text())["pretrained_cfg"]
    assert config["interpolation"] == "bilinear"
    accuracy = RunReport.read(export / "report.json").pruned.accuracy
    correct, count = 0, 0
    plain = AutoModelForImageClassification.from_pretrained(export).eval()
    processor = AutoImageProcessor.from_pretrained(export)
    for file in (colours / "validation").rglob("*.png"):
        logits = plain(**processor(Image.open(file))).logits
        correct += plain.config.id2label[int(logits.argmax())] == file.parent.name
        count += 1
    assert correct == round(accuracy * count)


@needs_shared
@pytest.mark.slow
def test_deit_tiny_of_timm_knows_imagenette(tmp_path, capsys, caplog):
    source = SHARED / "models" / "deit-tiny-patch16-224"
    net = AutoModelForImageClassification.from_pretrained(source)
    statistics = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    folder = in_timms_format(
        net, "deit_tiny_patch16_224", tmp_path, input_size=[3, 224, 224], crop_pct=0.9, **statistics
    )
    arguments = ["--model.pretrained", str(folder), "--data.source", str(SHARED / "imagenette")]
    with caplog.at_level("INFO"):
        main(["validate", *arguments, *SMALL, "--data.max_images", "{train: 64, validation: 100}"])
    assert "keeping the 10 matching rows of the 1000-class head." in caplog.text
    accuracy = next(
        line for line in capsys.readouterr().out.splitlines() if "val/accuracy" in line
    ).split()
    assert float(next(word for word in accuracy if word.startswith(("0.", "1.")))) >= 0.95
