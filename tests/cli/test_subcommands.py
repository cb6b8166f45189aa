"""The subcommands beside fit."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.arguments import DIGITS, SMALL
from vitprune.cli.main import main
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder


def test_validate_and_test_a_checkpoint_without_naming_its_configuration(finished_run, capsys):
    main(["validate", "--ckpt_path", str(finished_run / "checkpoints" / "last.ckpt")])
    report = json.loads((finished_run / "export" / "report.json").read_text())
    last = read_metrics(RunFolder(finished_run))["val/accuracy"]
    assert f" {last[max(last)]} " in capsys.readouterr().out
    main(["test", "--ckpt_path", str(finished_run / "checkpoints" / "best.ckpt"), *SMALL])
    assert "test/accuracy" in capsys.readouterr().out
    assert report["finished"]


def test_validate_an_exported_folder(finished_run, capsys):
    export = finished_run / "export"
    report = json.loads((export / "report.json").read_text())
    arguments = ["--data.source=digits", f"--model.pretrained={export}", *SMALL, *DIGITS]
    main(["validate", *arguments])
    assert f" {report['pruned']['accuracy']} " in capsys.readouterr().out


@pytest.mark.parametrize("what", ["checkpoint", "export"])
def test_predict_a_folder(finished_run, tmp_path, what):
    from sklearn.datasets import load_digits

    digits = load_digits()
    (tmp_path / "images" / "more").mkdir(parents=True)
    for i in range(20):
        folder = tmp_path / "images" / ("more" if i % 2 else "")
        image = Image.fromarray((digits.images[i] * 15.9).astype("uint8"))
        image.save(folder / f"{digits.target[i]}-{i}.png")
    model = {
        "checkpoint": ["--ckpt_path", str(finished_run / "checkpoints" / "best.ckpt")],
        "export": ["--model.pretrained", str(finished_run / "export")],
    }[what]
    output = tmp_path / "out" / "predictions.csv"
    main(
        [
            "predict",
            *model,
            f"--data.predict_images={tmp_path / 'images'}",
            f"--predictions.output={output}",
            *SMALL,
        ]
    )
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert len(rows) == 20
    assert sum(Path(row["file"]).stem.split("-")[0] == row["label"] for row in rows) >= 9
    assert all(0 < float(row["probability"]) <= 1 for row in rows)


def test_predictions_do_not_fit_into_a_folder(tmp_path, capsys):
    arguments = [
        "--model.pretrained=digits",
        f"--data.predict_images={tmp_path}",
        f"--predictions.output={tmp_path}",
    ]
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    with pytest.raises(SystemExit):
        main(["predict", *arguments, *SMALL])
    assert "is a folder. Use the path of a file" in capsys.readouterr().err


def test_export_says_at_which_sparsity(finished_run, tmp_path, capsys):
    last = finished_run / "checkpoints" / "last.ckpt"
    main(["export", "--ckpt_path", str(last), "--output", str(tmp_path / "mine"), *SMALL])
    assert "sparsity 80.00%, validation accuracy" in capsys.readouterr().out
    assert (tmp_path / "mine" / "model.safetensors").is_file()


def test_export_of_the_folder_of_a_run(finished_run, tmp_path, capsys):
    arguments = [
        "export",
        "--ckpt_path",
        str(finished_run),
        f"--output={tmp_path / 'mine'}",
        *SMALL,
    ]
    main([*arguments, "--formats=hf,compressed", "--dtype", "bfloat16"])
    assert "best.ckpt" in capsys.readouterr().out
    report = json.loads((tmp_path / "mine" / "report.json").read_text())
    compressed = report["formats"]["compressed"]
    assert (
        compressed["bytes"] == (tmp_path / "mine" / "model.compressed.safetensors").stat().st_size
    )
    assert compressed["bytes"] < report["pruned"]["bytes"] < 0.55 * report["base"]["bytes"]
    assert "restore" in (tmp_path / "mine" / "README.md").read_text()
    assert 0 < report["verification"]["largest_logit_difference"] < 0.5
    for choice, message in {
        "--formats=hf,tflite": "unknown format 'tflite'. Valid are hf, pt2, onnx, openvino, ",
        "--formats=semi_structured": "no layer is 2:4 sparse",
        "--shrink=required": "no whole head, dimension of a head, neuron or branch",
        "--shrink=always": "shrink",
    }.items():
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, choice])
        error = capsys.readouterr().err
        assert stopped.value.code == 2
        assert error.startswith("vitprune: error: ")
        assert message in error
        assert report == json.loads(
            (tmp_path / "mine" / "report.json").read_text()
        )  # the old one is still there


def test_images_that_are_skipped_are_reported_wherever_they_are_read(tmp_path):
    pixels = torch.randint(
        256, (2, 9, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ).numpy()
    for split, count in (("train", 4), ("validation", 3)):
        for name, image in zip(("a", "b"), pixels, strict=True):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(image).save(tmp_path / "data" / split / name / f"{number}.png")
    (tmp_path / "data" / "validation" / "a" / "0.png").write_bytes(b"no image")
    arguments = [
        f"--data.source={tmp_path / 'data'}",
        "--data.on_bad_image=skip",
        "--data.batch_size=4",
        *SMALL,
    ]
    with pytest.warns(UserWarning, match="1 images were skipped") as told:
        main(
            [
                "fit",
                "--config=dense.yaml",
                "--trainer.max_epochs=1",
                f"--trainer.default_root_dir={tmp_path}",
                *arguments,
            ]
        )
    assert (
        sum("images were skipped" in str(warning.message) for warning in told) == 2
    )  # by the training, and by the export
    scan = ["--by=role", "--sparsities=[0.5]", f"--output={tmp_path / 'scan'}"]
    with pytest.warns(UserWarning, match="1 images were skipped"):
        main(["sensitivity", "--config=iterative.yaml", *scan, *arguments])


def test_the_schedule_plays_no_part_in_a_scan(tmp_path):
    pattern = [
        "--pruning.granularity=NofM",
        "--pruning.granularity.n=1",
        "--sparsities=[0.75]",
        "--by=role",
    ]
    main(
        [
            "sensitivity",
            "--config=iterative.yaml",
            *pattern,
            *SMALL,
            *DIGITS,
            f"--output={tmp_path}",
        ]
    )
    reached = json.loads((tmp_path / "sensitivity.json").read_text())["reached"]
    assert all(curve == {"0.75": 0.75} for curve in reached.values())
