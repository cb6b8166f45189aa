"""What a run leaves behind, and what it says."""

import json

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.arguments import DIGITS, SHORT, SMALL, typed
from tests.conftest import SHARED, needs_shared
from vitprune.cli.main import main
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder


def test_files(finished_run):
    for name in (
        "config.yaml",
        "metrics.csv",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "export/config.json",
        "export/model.safetensors",
        "export/preprocessor_config.json",
        "export/README.md",
        "export/report.json",
        "export/plots/training.png",
        "export/plots/density.png",
    ):
        assert (finished_run / name).is_file(), name


def test_tensorboard(finished_run):
    events = EventAccumulator(
        str(finished_run), size_guidance={"histograms": 0, "images": 0}
    ).Reload()
    scalars = set(events.Tags()["scalars"])
    assert {
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "val/top5",
        "sparsity/target",
        "sparsity/prunable",
        "sparsity/total",
        "round/after_pruning",
        "round/after_finetuning",
        "throughput/images_per_s",
        "throughput/data_wait",
    } <= scalars
    assert any(name.startswith("lr-") for name in scalars)
    assert len([name for name in scalars if name.startswith("sparsity/layer/")]) == 36
    assert len(events.Tags()["histograms"]) == 36
    assert set(events.Tags()["images"]) == {"figures/training", "figures/density"}
    assert [e.value for e in events.Scalars("sparsity/prunable")][-1] == pytest.approx(
        0.8, abs=1e-4
    )
    assert len(events.Scalars("round/after_pruning")) == 2


def test_the_csv_has_the_same_scalars(finished_run):
    curves = read_metrics(RunFolder(finished_run))
    events = EventAccumulator(str(finished_run)).Reload()
    for name in ("val/accuracy", "sparsity/prunable", "train/loss"):
        assert {e.step: pytest.approx(e.value) for e in events.Scalars(name)} == curves[name]


def test_the_configuration_repeats_the_run(finished_run):
    settings = yaml.safe_load((finished_run / "config.yaml").read_text())
    assert settings["pruning"]["schedule"]["init_args"]["end"] == 1
    assert settings["data"]["init_args"]["max_images"] == {"train": 256, "validation": 64}
    assert settings["seed_everything"] == 42


def test_the_configuration_of_a_run_says_what_was_said(finished_run):
    """And not what follows from it: with another model, another processor is right."""
    settings = yaml.safe_load((finished_run / "config.yaml").read_text())
    data, model = (settings[section]["init_args"] for section in ("data", "model"))
    assert (data["processor"], model["image_size"]) == (None, None)


def test_the_card_has_the_command_that_repeats_the_run(finished_run):
    root = finished_run.parents[1]
    words = [
        "fit",
        "--config",
        "iterative.yaml",
        f"--trainer.default_root_dir={root}",
        *SMALL,
        *DIGITS,
        *SHORT,
    ]
    command = json.loads((finished_run / "export" / "report.json").read_text())["environment"][
        "command"
    ]
    assert typed(command) == words
    assert f"\n```\n{command}\n```\n" in (finished_run / "export" / "README.md").read_text()


def test_a_line_per_round(tmp_path, capsys):
    main(
        [
            "fit",
            "--config",
            "oneshot.yaml",
            f"--trainer.default_root_dir={tmp_path}",
            *SMALL,
            *DIGITS,
            SHORT[0],
        ]
    )
    out = capsys.readouterr().out
    assert "before pruning val/accuracy 1.0000" in out
    assert "round 1/1 epoch 0 sparsity 80.00% val/accuracy 0." in out
    assert "Exported" in out


def test_a_guarded_run_that_kept_nothing_says_so(tmp_path, capsys):
    guarded = [
        "--pruning.schedule=AccuracyGuarded",
        "--pruning.schedule.step=0.9",
        "--pruning.schedule.max_drop=0.01",
    ]
    main(
        [
            "fit",
            "--config=oneshot.yaml",
            f"--trainer.default_root_dir={tmp_path}",
            *SMALL,
            *DIGITS,
            SHORT[0],
            *guarded,
        ]
    )
    out = capsys.readouterr().out
    assert "round 1 epoch 0 sparsity 90.00%" in out
    assert "No pruned checkpoint met the accuracy threshold of AccuracyGuarded" in out
    assert "Training stopped before the pruning schedule finished" in out


def test_a_run_that_early_stopping_ended_says_why_nothing_was_exported(tmp_path, capsys):
    early = "{class_path: EarlyStopping, init_args: {monitor: val/accuracy, patience: 1}}"
    with pytest.warns(
        UserWarning, match="reached sparsity 0.400 of 0.8.*EarlyStopping stopped training"
    ):
        main(
            [
                "fit",
                "--config=iterative.yaml",
                f"--trainer.default_root_dir={tmp_path}",
                *SMALL,
                "--data.max_images={train: 64, validation: 32}",
                f"--trainer.callbacks=[{early}]",
                "--pruning.schedule={class_path: Levels, init_args: {levels: [0.4, 0.6, 0.8]}}",
            ]
        )
    out = capsys.readouterr().out
    assert "The pruning schedule did not finish; nothing was exported" in out


def test_a_run_that_was_stopped_early_exports_on_request_only(tmp_path, capsys):
    arguments = [
        "--config",
        "iterative.yaml",
        f"--trainer.default_root_dir={tmp_path}",
        *SMALL,
        *DIGITS,
    ]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *arguments, *SHORT, "--model.learning_rate=1e30"])
    assert stopped.value.code == 2
    run = tmp_path / "lightning_logs" / "version_0"
    assert "loss is" in capsys.readouterr().err
    assert not (run / "export").exists()


def test_images_of_another_size(tmp_path):
    arguments = [
        "--config=oneshot.yaml",
        "--data.image_size=32",
        "--trainer.max_epochs=2",
        *SMALL,
        *DIGITS,
    ]
    main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path}"])
    export = tmp_path / "lightning_logs" / "version_0" / "export"
    assert json.loads((export / "config.json").read_text())["image_size"] == 32
    assert json.loads((export / "preprocessor_config.json").read_text())["size"] == {
        "height": 32,
        "width": 32,
    }
    assert json.loads((export / "report.json").read_text())["base"]["accuracy"] > 0.5


def test_an_average_of_the_weights_from_the_command_line(tmp_path):
    average = "{class_path: EMAWeightAveraging, init_args: {decay: 0.9, use_buffers: false}}"
    arguments = [
        "--config=oneshot.yaml",
        f"--trainer.callbacks=[{average}]",
        "--trainer.fast_dev_run=true",
    ]
    main(["fit", *arguments, *SMALL])


@pytest.mark.slow
@needs_shared
def test_a_real_model_on_real_images(tmp_path):
    """DeiT-Tiny on a hundred photographs, two rounds; plain transformers evaluates the export."""
    from datasets import load_dataset
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    main(
        [
            "fit",
            "--config=imagenette_deit_tiny.yaml",
            f"--model.pretrained={SHARED / 'models' / 'deit-tiny-imagenette'}",
            f"--data.source={SHARED / 'imagenette'}",
            "--data.max_images={train: 96, validation: 48}",
            "--data.batch_size=16",
            "--trainer.max_epochs=2",
            "--pruning.schedule={class_path: Levels, init_args: {levels: [0.3, 0.5]}}",
            "--pruning.calibration_images=32",
            f"--trainer.default_root_dir={tmp_path}",
            *SMALL[:2],
            "--data.num_workers=1",
        ]
    )
    export = tmp_path / "lightning_logs" / "version_0" / "export"
    report = json.loads((export / "report.json").read_text())
    assert report["sparsity"]["prunable"] == pytest.approx(0.5, abs=1e-5)
    assert report["base"]["accuracy"] > 0.9
    assert report["pruned"]["accuracy"] > 0.6  # of 48 images, after 12 steps
    model, processor = (
        c.from_pretrained(export) for c in (AutoModelForImageClassification, AutoImageProcessor)
    )
    images = (
        load_dataset(str(SHARED / "imagenette"))["validation"].shuffle(seed=42).select(range(48))
    )
    with torch.no_grad():
        logits = model(
            **processor([i.convert("RGB") for i in images["image"]], return_tensors="pt")
        ).logits
    assert (logits.argmax(1) == torch.tensor(images["label"])).float().mean() == pytest.approx(
        report["pruned"]["accuracy"]
    )
