"""The subcommand sensitivity."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForImageClassification

from tests.evaluation.arguments import ARGUMENTS
from tests.files import assert_not_blank
from vitprune.cli.main import main
from vitprune.cli.trainer import PruningTrainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    Element,
    FromSensitivity,
    IterativePruning,
    LayerSelection,
    OneShot,
    Taylor,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the results of a scan of the embedded model."""
    root = tmp_path_factory.mktemp("root")
    ignored = [
        "--pruning.allocation=Uniform",
        "--pruning.allocation.min_density=0.3",
    ]  # there is nothing to divide
    main(
        [
            "sensitivity",
            *ARGUMENTS,
            "--sparsities=[0.5,0.9]",
            *ignored,
            f"--trainer.default_root_dir={root}",
        ]
    )
    return root / "lightning_logs" / "version_0" / "sensitivity"


class TestCommand:
    def test_numbers(self, folder):
        result = json.loads((folder / "sensitivity.json").read_text())
        assert (result["metric"], result["images"], result["by"]) == ("accuracy", 40, "layer")
        assert (result["criterion"], result["granularity"]) == ("Magnitude", "Element")
        assert len(result["scan"]) == 36
        assert all(list(curve) == ["0.5", "0.9"] for curve in result["scan"].values())
        assert all(result["groups"][name] == [name] for name in result["scan"])
        rows = list(csv.DictReader((folder / "sensitivity.csv").read_text().splitlines()))
        assert len(rows) == 72
        for row in rows:
            assert float(row["accuracy"]) == result["scan"][row["group"]][row["sparsity"]]
            assert float(row["reached"]) == pytest.approx(float(row["sparsity"]), abs=1e-3)
            assert float(row["accuracy_lost"]) == pytest.approx(
                result["dense"] - float(row["accuracy"])
            )
            assert 40 * float(row["accuracy"]) == pytest.approx(round(40 * float(row["accuracy"])))

    def test_fragment_for_an_allocation(self, folder):
        fragment = yaml.safe_load((folder / "sensitivity.yaml").read_text())
        allocation = fragment["pruning"]["allocation"]
        assert allocation["class_path"] == "FromSensitivity"
        layers = LayerSelection().select(ViTClassifier("digits"))
        FromSensitivity(**allocation["init_args"]).check(layers, Element())
        main(
            [
                "fit",
                "--config=oneshot.yaml",
                f"--config={folder / 'sensitivity.yaml'}",
                *ARGUMENTS,
                "--trainer.fast_dev_run=true",
            ]
        )

    @pytest.mark.parametrize("name", ["drop_map", "by_role", "by_block"])
    def test_figures_are_not_blank(self, folder, name):
        assert_not_blank(folder / f"{name}.png")

    def test_the_same_command_resumes_an_unfinished_scan(self, folder, tmp_path, capsys):
        run = tmp_path / "lightning_logs" / "version_3"
        run.mkdir(parents=True)
        (run / "sensitivity").symlink_to(folder)
        result = (folder / "sensitivity.json").read_bytes()
        (folder / "sensitivity.json").unlink()
        arguments = [*ARGUMENTS, "--sparsities=[0.5,0.9]", f"--trainer.default_root_dir={tmp_path}"]
        main(["sensitivity", *arguments])
        assert "Resuming " in capsys.readouterr().out
        assert (folder / "sensitivity.json").read_bytes() == result
        assert len((folder / "progress-0.jsonl").read_text().splitlines()) == 1 + 72

    def test_results_of_other_weights_are_refused(self, tmp_path, pretrained, capsys):
        arguments = [
            *ARGUMENTS,
            "--sparsities=[0.8]",
            "--by=block",
            f"--model.pretrained={pretrained}",
        ]
        arguments += [f"--data.processor={pretrained}", f"--output={tmp_path / 'scan'}"]
        main(["sensitivity", *arguments])
        main(["sensitivity", *arguments])
        net = AutoModelForImageClassification.from_pretrained(pretrained)
        net.classifier.bias.data[0] += 1
        net.save_pretrained(pretrained)
        with pytest.raises(SystemExit):
            main(["sensitivity", *arguments])
        assert re.search(
            r"results of other settings: weights is \w{16} there and \w{16} now",
            capsys.readouterr().err,
        )

    def test_results_of_other_images_are_refused(self, tmp_path, capsys):
        arguments = [*ARGUMENTS, "--sparsities=[0.8]", "--by=role", f"--output={tmp_path}"]
        main(["sensitivity", *arguments])
        for other in (
            "--data.normalization.mean=[0.1,0.1,0.1]",
            "--data.split.validation_fraction=0.2",
        ):
            with pytest.raises(SystemExit):
                main(["sensitivity", *arguments, other])
            assert "results of other settings: data is" in capsys.readouterr().err

    def test_groups(self, tmp_path):
        main(
            ["sensitivity", *ARGUMENTS, "--sparsities=[0.8]", "--by=block", f"--output={tmp_path}"]
        )
        result = json.loads((tmp_path / "sensitivity.json").read_text())
        assert list(result["groups"]) == [f"block {i}" for i in range(6)]
        assert all(len(layers) == 6 for layers in result["groups"].values())
        assert_not_blank(tmp_path / "drop_map.png")

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (["--sparsitys=[0.5]"], "Did you mean --sparsities?"),
            (["--by=head"], "by must be one of layer, block, role, not head"),
            (["--sparsities=[0.5,1.5]"], "greater than 0 and less than 1, not [0.5, 1.5]"),
            (
                ["--config=iterative.yaml", "--pruning.layers.roles=[querry]"],
                "valid are query, key",
            ),
            (
                ["--config=iterative.yaml", "--pruning.layers.names=[foo]"],
                "matches no layer. The model has",
            ),
            (["--data.source=null"], "data.source is not set"),
        ],
    )
    def test_bad_input(self, tmp_path, capsys, extra, message):
        with pytest.raises(SystemExit) as stopped:
            main(["sensitivity", *ARGUMENTS, f"--output={tmp_path}", *extra])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_share_the_work_with_the_same_results(folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--rdzv-backend=c10d",
    ]
    command += [
        "--rdzv-endpoint=127.0.0.1:0",
        str(Path(__file__).parents[2] / "scripts" / "train.py"),
        "sensitivity",
        *ARGUMENTS,
    ]
    command += ["--sparsities=[0.5,0.9]", "--trainer.devices=2", f"--output={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    single, shared = (
        json.loads((path / "sensitivity.json").read_text()) for path in (folder, tmp_path)
    )
    assert shared["scan"] == single["scan"]
    assert shared["loss"] == single["loss"]
    shares = [
        len((tmp_path / f"progress-{rank}.jsonl").read_text().splitlines()) for rank in range(2)
    ]
    assert shares == [1 + 36, 1 + 36]


def test_a_model_in_training_mode_stays_in_it(tmp_path):
    model = ViTClassifier("digits").train()
    data = ImageData("digits", "digits", num_workers=0, max_images={"validation": 8})
    pruning = IterativePruning(OneShot(0.5), Taylor(), calibration_images=8, monitor=None)
    trainer = PruningTrainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, callbacks=[pruning]
    )
    trainer.sensitivity(model, data, by="role", sparsities=[0.5])
    trainer.histograms(model, data, methods=["l1_unstructured"])
    assert all(module.training for module in model.modules())
