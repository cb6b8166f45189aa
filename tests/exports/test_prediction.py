"""Predictions by the programs of an export are those of its model."""

import json
from pathlib import Path

import pytest
from PIL import Image
from transformers import ViTImageProcessor

from tests.cli.arguments import SMALL
from tests.conftest import tiny_net
from vitprune.cli.main import main
from vitprune.data.processor import load_processor
from vitprune.exports import onnx
from vitprune.model.classes import name_classes
from vitprune.model.loading import load_net
from vitprune.runs.run_folder import ExportFolder


@pytest.fixture
def export(tmp_path) -> ExportFolder:
    folder = ExportFolder(tmp_path / "export")
    net = tiny_net()
    net.save_pretrained(folder.path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder.path)
    for number in range(3):
        Image.effect_noise((20, 20), 90).convert("RGB").save(tmp_path / f"{number}.png")
    return folder


def predict(export, runtime, tmp_path) -> list[dict]:
    output = tmp_path / f"{runtime}.jsonl"
    images = f"--data.predict_images=[{tmp_path}/2.png, '{tmp_path}/[01].png']"
    model = f"--model.pretrained={export.path}"
    main(
        ["predict", model, images, f"--predictions.output={output}", f"--runtime={runtime}", *SMALL]
    )
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_onnx_runtime_predicts_what_the_model_does(export, tmp_path, caplog):
    net = tiny_net()
    onnx.convert(net, export.onnx, (3, 16, 16))
    by_torch, by_onnx = (predict(export, runtime, tmp_path) for runtime in ("torch", "onnx"))
    assert f"Running {export.onnx} by ONNX Runtime" in caplog.text
    assert "(3 images, " in caplog.text
    assert "images/s)" in caplog.text
    assert [Path(row["file"]).name for row in by_onnx] == ["2.png", "0.png", "1.png"]
    for ours, theirs in zip(by_onnx, by_torch, strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-5)


@pytest.mark.slow
def test_a_program_with_other_classes_than_the_data_is_refused(tmp_path, capsys):
    """The program would name the classes of the data by the places of others."""
    folder = ExportFolder(tmp_path / "export")
    names = [str(digit) for digit in reversed(range(10))]
    net = load_net("digits")
    name_classes(net.config, names)
    net.save_pretrained(folder.path)
    load_processor("digits").save_pretrained(folder.path)
    onnx.convert(net, folder.onnx, (3, 16, 16))
    Image.effect_noise((20, 20), 90).convert("RGB").save(tmp_path / "0.png")
    options = [f"--model.pretrained={folder.path}", f"--data.predict_images={tmp_path}/0.png"]
    options += [f"--predictions.output={tmp_path / 'p.csv'}", "--data.source=digits"]
    with pytest.raises(SystemExit):
        main(["predict", *options, "--runtime=onnx", *SMALL])
    assert "the program predicts the 10 classes of the export" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "export' has no program for it. Set --model.pretrained to an export that was written"),
        (["--ckpt_path=x.ckpt"], "x.ckpt"),
        (["--runtime=tflite"], "runtime must be one of torch, onnx, openvino, not tflite"),
    ],
)
def test_a_runtime_without_its_program_is_refused(export, tmp_path, capsys, arguments, message):
    model = [f"--model.pretrained={export.path}", f"--data.predict_images={tmp_path}"]
    with pytest.raises(SystemExit) as stopped:
        main(["predict", *model, "--runtime=onnx", *arguments, *SMALL])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
