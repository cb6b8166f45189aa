"""The command line as a user types it."""

import contextlib
import csv
import json
import os
import re
import shlex
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import SHARED, needs_shared
from vitprune import __main__ as start
from vitprune.assets import EMBEDDED
from vitprune.cli.main import main
from vitprune.data import ImageData
from vitprune.runs.checkpoint_files import read_checkpoint
from vitprune.runs.commands import command_line, command_of
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder

CONFIG_FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(CONFIG_FOLDER.rglob("*.yaml"))
SMALL = ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--data.num_workers=0"]
DIGITS = ["--data.max_images", "{train: 256, validation: 64}", "--data.batch_size=32"]
SHORT = [
    "--trainer.max_epochs=3",
    "--pruning.schedule.init_args.end_epoch=1",
    "--pruning.schedule.init_args.every_n_epochs=1",
]


def typed(command: str) -> list[str]:
    """Return the words of a command without its program, which is that of the tests."""
    words = shlex.split(command)
    return words[words.index("fit") :]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Return the folder of a short run of iterative.yaml."""
    root = tmp_path_factory.mktemp("root")
    main(
        [
            "fit",
            "--config",
            "iterative.yaml",
            f"--trainer.default_root_dir={root}",
            *SMALL,
            *DIGITS,
            *SHORT,
        ]
    )
    return root / "lightning_logs" / "version_0"


class TestWhatARunLeavesBehind:
    def test_files(self, finished_run):
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

    def test_tensorboard(self, finished_run):
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

    def test_the_csv_has_the_same_scalars(self, finished_run):
        curves = read_metrics(RunFolder(finished_run))
        events = EventAccumulator(str(finished_run)).Reload()
        for name in ("val/accuracy", "sparsity/prunable", "train/loss"):
            assert {e.step: pytest.approx(e.value) for e in events.Scalars(name)} == curves[name]

    def test_the_configuration_repeats_the_run(self, finished_run):
        settings = yaml.safe_load((finished_run / "config.yaml").read_text())
        assert settings["pruning"]["schedule"]["init_args"]["end_epoch"] == 1
        assert settings["data"]["max_images"] == {"train": 256, "validation": 64}
        assert settings["seed_everything"] == 42

    def test_the_card_has_the_command_that_repeats_the_run(self, finished_run):
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

    def test_a_line_per_round(self, tmp_path, capsys):
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
        assert "before pruning  val/accuracy 1.0000" in out
        assert "round 1/1  epoch 0  target 80.00%  reached 80.00%  val/accuracy 0." in out
        assert "exported" in out

    def test_a_guarded_run_that_kept_nothing_says_so(self, tmp_path, capsys):
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
        assert "round 1  epoch 0  target 90.00%" in out
        assert "no pruned state kept val/accuracy as high as AccuracyGuarded wants it" in out
        assert "training ended before its schedule did" in out

    def test_a_guarded_run_that_came_to_its_end_is_not_gone_on_with(self, tmp_path, capsys):
        (tmp_path / "root.yaml").write_text(f"trainer: {{default_root_dir: {tmp_path}/runs}}\n")
        guarded = [
            "--pruning.schedule=AccuracyGuarded",
            "--pruning.schedule.step=0.9",
            "--pruning.schedule.min_step=0.9",
        ]
        guarded += ["--pruning.schedule.patience=1", "--trainer.max_epochs=9"]
        arguments = [
            "fit",
            "--config=oneshot.yaml",
            "--config",
            str(tmp_path / "root.yaml"),
            *SMALL,
            *DIGITS,
            *guarded,
        ]
        main(arguments)
        assert "training ended before" not in capsys.readouterr().out
        with pytest.raises(SystemExit):
            main([*arguments, "--ckpt_path=last"])
        assert "this run is finished, its schedule has ended" in capsys.readouterr().err


class TestVerbs:
    def test_validate_and_test_a_checkpoint_without_naming_its_configuration(
        self, finished_run, capsys
    ):
        main(["validate", "--ckpt_path", str(finished_run / "checkpoints" / "last.ckpt")])
        report = json.loads((finished_run / "export" / "report.json").read_text())
        last = read_metrics(RunFolder(finished_run))["val/accuracy"]
        assert f" {last[max(last)]} " in capsys.readouterr().out
        main(["test", "--ckpt_path", str(finished_run / "checkpoints" / "best.ckpt"), *SMALL])
        assert "test/accuracy" in capsys.readouterr().out
        assert report["finished"]

    def test_validate_an_exported_folder(self, finished_run, capsys):
        export = finished_run / "export"
        report = json.loads((export / "report.json").read_text())
        arguments = ["--data.source=digits", f"--model.pretrained={export}", *SMALL, *DIGITS]
        main(["validate", *arguments])
        assert f" {report['pruned']['accuracy']} " in capsys.readouterr().out

    @pytest.mark.parametrize("what", ["checkpoint", "export"])
    def test_predict_a_folder(self, finished_run, tmp_path, what):
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

    def test_export_says_at_which_sparsity(self, finished_run, tmp_path, capsys):
        last = finished_run / "checkpoints" / "last.ckpt"
        main(["export", "--ckpt_path", str(last), "--output", str(tmp_path / "mine"), *SMALL])
        assert "sparsity 80.00%, validation accuracy" in capsys.readouterr().out
        assert (tmp_path / "mine" / "model.safetensors").is_file()

    def test_images_that_are_skipped_are_reported_wherever_they_are_read(self, tmp_path):
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

    def test_export_of_the_folder_of_a_run(self, finished_run, tmp_path, capsys):
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
            compressed["bytes"]
            == (tmp_path / "mine" / "model.compressed.safetensors").stat().st_size
        )
        assert compressed["bytes"] < report["pruned"]["bytes"] < 0.55 * report["base"]["bytes"]
        assert "restore" in (tmp_path / "mine" / "README.md").read_text()
        assert 0 < report["verification"]["largest_logit_difference"] < 0.5
        for choice, message in {
            "--formats=hf,tflite": "unknown format 'tflite'. Valid are hf, pt2, onnx, compressed, semi_structured",
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

    def test_a_run_that_was_stopped_early_exports_on_request_only(self, tmp_path, capsys):
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


class TestPlacesOfRuns:
    def test_last_is_found_under_the_root_of_the_configuration(self, tmp_path, capsys, caplog):
        (tmp_path / "root.yaml").write_text(
            f"trainer: {{default_root_dir: {tmp_path}/runs, max_epochs: 1}}\n"
        )
        arguments = [
            "fit",
            "--config",
            "dense.yaml",
            "--config",
            str(tmp_path / "root.yaml"),
            *SMALL,
            *DIGITS,
        ]
        main(arguments)
        with pytest.raises(SystemExit):
            main([*arguments, "--ckpt_path=last"])
        assert (
            "version_0 has come to epoch 1 of 1, step 8. Raise trainer.max_epochs"
            in capsys.readouterr().err
        )
        with pytest.raises(SystemExit):
            main(
                [
                    *arguments,
                    "--ckpt_path=last",
                    "--trainer.max_epochs=9",
                    "--model.layer_decay=0.9",
                ]
            )
        main([*arguments, "--ckpt_path=last", "--trainer.max_epochs=2"])
        assert "going on with the newest run that has a checkpoint" in caplog.text
        assert [path.name for path in (tmp_path / "runs" / "lightning_logs").iterdir()] == [
            "version_0"
        ]
        run = tmp_path / "runs" / "lightning_logs" / "version_0"
        assert max(read_metrics(RunFolder(run))["epoch"].values()) == 1
        settings = yaml.safe_load(
            (run / "config.yaml").read_text()
        )  # which a third start without words goes on under
        assert (settings["trainer"]["max_epochs"], settings["ckpt_path"]) == (2, None)
        first, second = command_of(read_checkpoint(run / "checkpoints" / "last.ckpt")).split(" && ")
        assert typed(first) == arguments
        assert typed(second) == [*arguments, "--ckpt_path=last", "--trainer.max_epochs=2"]

    def test_a_run_whose_export_is_older_than_its_training_is_not_finished(
        self, tmp_path, capsys, caplog
    ):
        arguments = [
            "fit",
            "--config=dense.yaml",
            "--trainer.max_epochs=1",
            f"--trainer.default_root_dir={tmp_path}",
        ]
        main([*arguments, *SMALL, *DIGITS])
        run = tmp_path / "lightning_logs" / "version_0"
        report, last = run / "export" / "report.json", run / "checkpoints" / "last.ckpt"
        os.utime(report, (report.stat().st_atime, last.stat().st_mtime - 1))
        main([*arguments, *SMALL, *DIGITS, "--ckpt_path=last"])
        assert report.stat().st_mtime > last.stat().st_mtime

    def test_a_checkpoint_of_another_program_is_refused(self, tmp_path, capsys):
        folder = tmp_path / "lightning_logs" / "version_5" / "checkpoints"
        folder.mkdir(parents=True)
        torch.save({"state_dict": {}, "loops": {}, "global_step": 1}, folder / "last.ckpt")
        (tmp_path / "more.yaml").write_text(f"ckpt_path: {folder.parent}\n")
        for words in (
            ["--ckpt_path=last"],
            ["--ckpt_path", str(folder.parent)],
            ["--config", str(tmp_path / "more.yaml")],
        ):
            with pytest.raises(SystemExit):
                main(
                    [
                        "fit",
                        "--config=dense.yaml",
                        f"--trainer.default_root_dir={tmp_path}",
                        *words,
                        *SMALL,
                        *DIGITS,
                    ]
                )
            assert (
                "last.ckpt' is a checkpoint of another Lightning program" in capsys.readouterr().err
            )

    def test_predictions_do_not_fit_into_a_folder(self, tmp_path, capsys):
        arguments = [
            "--model.pretrained=digits",
            f"--data.predict_images={tmp_path}",
            f"--predictions.output={tmp_path}",
        ]
        Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
        with pytest.raises(SystemExit):
            main(["predict", *arguments, *SMALL])
        assert "is a folder: name a file" in capsys.readouterr().err

    def test_runs_started_at_the_same_time_have_folders_of_their_own(self, tmp_path, monkeypatch):
        def setup(data, stage, own=ImageData.setup):
            (tmp_path / "lightning_logs" / "version_0").mkdir(
                parents=True, exist_ok=True
            )  # the other has come so far
            own(data, stage)

        monkeypatch.setattr(ImageData, "setup", setup)
        main(
            [
                "fit",
                "--config=dense.yaml",
                "--trainer.max_epochs=1",
                f"--trainer.default_root_dir={tmp_path}",
                *SMALL,
                *DIGITS,
            ]
        )
        assert not list((tmp_path / "lightning_logs" / "version_0").iterdir())
        mine = {path.name for path in (tmp_path / "lightning_logs" / "version_1").iterdir()}
        assert {"config.yaml", "metrics.csv", "checkpoints", "export"} <= mine

    @pytest.mark.parametrize(
        "refused", ["--checkpoint.monitor=val/acc", "--trainer.fast_dev_run=true"]
    )
    def test_a_refused_run_leaves_that_of_another_alone(self, tmp_path, monkeypatch, refused):
        def setup(data, stage, own=ImageData.setup):
            (tmp_path / "lightning_logs" / "version_0").mkdir(parents=True, exist_ok=True)
            own(data, stage)

        monkeypatch.setattr(ImageData, "setup", setup)
        with pytest.raises(SystemExit):
            main(
                [
                    *ITERATIVE,
                    refused,
                    "--model.distillation.teacher=./none",
                    f"--trainer.default_root_dir={tmp_path}",
                ]
            )
        assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]

    def test_the_schedule_plays_no_part_in_a_scan(self, tmp_path):
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

    def test_a_dry_run_leaves_nothing(self, tmp_path):
        main(
            [
                "fit",
                "--config=dense.yaml",
                f"--trainer.default_root_dir={tmp_path}",
                "--trainer.fast_dev_run=true",
                *DIGITS,
            ]
        )
        assert list(tmp_path.iterdir()) == []

    def test_the_configuration_of_a_run_says_what_was_said(self, finished_run):
        """And not what follows from it: with another model, another processor is right."""
        settings = yaml.safe_load((finished_run / "config.yaml").read_text())
        assert (settings["data"]["processor"], settings["model"]["image_size"]) == (None, None)

    def test_images_of_another_size(self, tmp_path):
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

    def test_an_average_of_the_weights_from_the_command_line(self, tmp_path):
        average = "{class_path: EMAWeightAveraging, init_args: {decay: 0.9, use_buffers: false}}"
        arguments = [
            "--config=oneshot.yaml",
            f"--trainer.callbacks=[{average}]",
            "--trainer.fast_dev_run=true",
        ]
        main(["fit", *arguments, *SMALL])


def verb_of(path):
    return re.search(
        r"^# Command:   python scripts/train.py (\w+) --config", path.read_text(), re.MULTILINE
    ).group(1)


class TestConfigs:
    @pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
    def test_every_configuration_says_how_to_use_it(self, path):
        head = path.read_text().split("seed_everything")[0]
        assert f"--config {path.relative_to(CONFIG_FOLDER)}\n" in head
        assert verb_of(path) in {"fit", "sensitivity", "sweep", "histograms"}
        assert "# Hardware:" in head

    @pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
    def test_every_configuration_runs_a_batch(self, path, tmp_path):
        """Those of a hub run on the embedded model and data instead: every other key is theirs."""
        hub = "source: digits" not in path.read_text()
        local = ["--model.pretrained=digits", "--data.source=digits"] if hub else []
        arguments = ["--config", str(path), *local, *SMALL]
        verb = verb_of(path)
        if verb == "fit":
            precision = ["--trainer.precision=32-true"] if hub else []
            main(["fit", *arguments, *precision, "--trainer.fast_dev_run=true"])
        else:
            fewer = [] if verb == "histograms" else ["--sparsities=[0.5]"]
            main(
                [
                    verb,
                    *arguments,
                    *fewer,
                    "--data.max_images={validation: 4}",
                    f"--output={tmp_path}",
                ]
            )
            assert list(tmp_path.glob("*.png"))

    def test_several_configurations_merge_and_the_command_line_wins(self, tmp_path):
        (tmp_path / "more.yaml").write_text(
            "model: {learning_rate: 0.5}\ntrainer: {max_epochs: 7}\n"
        )
        arguments = [
            "--config",
            "dense.yaml",
            "--config",
            str(tmp_path / "more.yaml"),
            "--trainer.max_epochs=1",
        ]
        main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path}", *SMALL, *DIGITS])
        settings = yaml.safe_load(
            (tmp_path / "lightning_logs" / "version_0" / "config.yaml").read_text()
        )
        assert (settings["model"]["learning_rate"], settings["trainer"]["max_epochs"]) == (0.5, 1)

    @pytest.mark.parametrize(
        "null", [["--pruning.schedule.end_epoch", "null"], ["--pruning.schedule.end_epoch=null"]]
    )
    def test_a_schedule_in_epochs_becomes_one_in_steps_on_the_command_line(self, null, capsys):
        steps = [
            "--pruning.schedule.end_step=4",
            "--pruning.schedule.every_n_steps=2",
            "--pruning.schedule.every_n_epochs=1",
        ]
        with contextlib.suppress(SystemExit):
            main(["fit", "--config", "iterative.yaml", *null, *steps, "--print_config"])
        schedule = yaml.safe_load(capsys.readouterr().out)["pruning"]["schedule"]["init_args"]
        assert (schedule["end_epoch"], schedule["end_step"]) == (None, 4)


ITERATIVE = ["fit", "--config", "iterative.yaml"]
BAD = {
    "unknown key": ([*ITERATIVE, "--data.sorce=x"], "Did you mean source?"),
    "unknown section": (["fit", "--config", "{tmp}/section.yaml"], "'foo'. Valid are checkpoint"),
    "no abbreviations": ([*ITERATIVE, "--trainer.max_epoch=3"], "Did you mean max_epochs?"),
    "unknown class": (
        [*ITERATIVE, "--pruning.criterion=Magnitud"],
        "'Magnitud' is not known. Valid are Fisher, Magnitude, ",
    ),
    "unknown argument": (
        [*ITERATIVE, "--pruning.schedule.init_args.final=0.5"],
        "Valid are begin_epoch, ",
    ),
    "sparsity": (
        [*ITERATIVE, "--pruning.schedule.init_args.final_sparsity=1.5"],
        "must lie in [0, 1), not 1.5",
    ),
    "roles": ([*ITERATIVE, "--pruning.layers.roles=[querry]"], "valid are query, key"),
    "pattern": (
        [*ITERATIVE, "--pruning.layers.names=[foo]"],
        "q_proj  (role query, blocks 0 to 5)",
    ),
    "schedule too long": ([*ITERATIVE, "--trainer.max_epochs=3"], "Set max_epochs to at least"),
    "type": (
        [*ITERATIVE, "--trainer.max_epochs=abc"],
        "trainer.max_epochs: Expected a <class 'int'>, not abc",
    ),
    "no schedule": (["fit", "--config", "{tmp}/noschedule.yaml"], "required: schedule"),
    "missing configuration": (
        ["fit", "--config", "nope.yaml"],
        "dense.yaml, imagenet_vit_base.yaml",
    ),
    "broken YAML": (["fit", "--config", "{tmp}/broken.yaml"], "broken.yaml is not valid YAML"),
    "missing model": ([*ITERATIVE, "--model.pretrained=./none"], "'./none' is not a folder"),
    "unreachable model": ([*ITERATIVE, "--model.pretrained=nobody/nothing"], "cannot be reached"),
    "missing data": ([*ITERATIVE, "--data.source=/nowhere"], "'/nowhere' is not a folder"),
    "no model": (["fit", "--data.source=digits"], "either model.pretrained"),
    "no data": (
        ["fit", "--model.pretrained=digits", "--trainer.max_epochs=1"],
        "data.source is not set",
    ),
    "missing checkpoint": ([*ITERATIVE, "--ckpt_path=none.ckpt"], "no checkpoint 'none.ckpt'"),
    "no run to continue": (
        [*ITERATIVE, "--ckpt_path=last", "--trainer.default_root_dir={tmp}"],
        "no run in",
    ),
    "an export to go on from": (
        ["fit", "--ckpt_path", str(EMBEDDED["digits"])],
        "is an exported model, not a checkpoint",
    ),
    "a folder to go on from": (["fit", "--ckpt_path={tmp}"], "is a folder, but not that of a run"),
    "a configuration to go on from": (
        [*ITERATIVE, "--ckpt_path={tmp}/section.yaml"],
        "is not a checkpoint",
    ),
    "missing checkpoint to validate": (
        ["validate", *ITERATIVE[1:], "--ckpt_path=no.ckpt"],
        "no checkpoint 'no.ckpt'",
    ),
    "image size": ([*ITERATIVE, "--data.image_size=33"], "multiple of the model's patch size 4"),
    "two image sizes": (
        [*ITERATIVE, "--data.image_size=32", "--model.image_size=16"],
        "sees images of 16 pixels",
    ),
    "a Trainer's own": (
        [*ITERATIVE, "--trainer.val_check_interval=1000"],
        "must be less than or equal",
    ),
    "no folder of its own": (
        [*ITERATIVE, "--trainer.logger=false"],
        "trainer.logger must not be false",
    ),
    "verb": (["fitt"], "choose from 'fit', 'validate', 'test', 'predict', 'export', 'sensitivity'"),
    "accelerator": ([*ITERATIVE, "--trainer.accelerator=foo"], "Available names are"),
    "batch": ([*ITERATIVE, "--data.batch_size=5000"], "less than a batch of 5000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message(case, tmp_path, capsys):
    (tmp_path / "section.yaml").write_text("model: {pretrained: digits}\nfoo: 3\n")
    (tmp_path / "broken.yaml").write_text("model: [\n")
    (tmp_path / "noschedule.yaml").write_text(
        "model: {pretrained: digits}\npruning: {criterion: Magnitude}\n"
    )
    arguments, message = BAD[case]
    with pytest.raises(SystemExit) as stopped:
        main(
            [a.replace("{tmp}", str(tmp_path)) for a in arguments]
            + ([] if case == "verb" else [f"--trainer.default_root_dir={tmp_path}"])
        )
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("vitprune: error: ")
    assert message in error
    assert "Traceback" not in error
    assert len(error) < 1500


@pytest.mark.parametrize(
    "refused",
    [
        "--trainer.max_epochs=3",
        "--trainer.max_epochs=-1",
        "--pruning.layers.exclude=[.*]",
        "--pruning.monitor=val/acc",
        "'--pruning.schedule={class_path: Linear, init_args: {final_sparsity: 0.5, end_step: 9999, every_n_steps: 1}}'",
        "--checkpoint.monitor=val/acc",
        "--model.distillation.teacher=./none",
        "--model.distillation.teacher=./none --trainer.fast_dev_run=true",
        "--data.batch_size=5000",
    ],
)
def test_bad_input_leaves_no_run_behind(refused, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*ITERATIVE, *shlex.split(refused), f"--trainer.default_root_dir={tmp_path}"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("vitprune: error: ")
    assert not list(tmp_path.rglob("version_*"))


@needs_shared
def test_a_real_model_on_real_images(tmp_path):
    """DeiT-Tiny on a hundred photographs, two rounds; the export is scored by plain transformers."""
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
    assert report["pruned"]["accuracy"] > 0.8
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


def test_ctrl_c_during_the_imports_is_one_line(monkeypatch, capsys):
    class Interrupted(MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name == "vitprune.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "vitprune.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        start.main(["fit"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "vitprune: interrupted\n"


def test_main_leaves_the_interpreter_as_it_was(capsys):
    before = list(sys.argv)
    with pytest.raises(SystemExit):
        main(["fitt"])
    assert sys.argv == before


@pytest.mark.parametrize(
    ("program", "start"),
    [
        ("/opt/env/bin/vitprune", "vitprune"),
        ("/home/me/project/scripts/train.py", "python scripts/train.py"),
        ("/opt/env/lib/vitprune/__main__.py", "python -m vitprune"),
    ],
)
def test_commands_are_told_as_they_are_typed(program, start):
    assert (
        command_line([program, "fit", "--data.max_images={train: 9}"])
        == f"{start} fit '--data.max_images={{train: 9}}'"
    )


def test_a_card_leaves_out_what_only_went_on():
    began, went_on, extended = (
        "vitprune fit --config a.yaml",
        "vitprune fit --ckpt_path last",
        "vitprune fit --ckpt_path last -c b.yaml",
    )
    assert command_of({"commands": [began, went_on, extended]}) == f"{began} && {extended}"
