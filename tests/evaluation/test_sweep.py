"""The subcommand sweep."""

import json
import re
import statistics

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.evaluation.arguments import ARGUMENTS
from tests.files import assert_not_blank, rows_of
from vitprune.cli.main import main
from vitprune.evaluation.sweep_result import SweepResult
from vitprune.figures.tables import print_table
from vitprune.reports.results import read_folder


class TestSweep:
    def test_numbers(self, logs):
        result = json.loads((logs / "version_2" / "sweep" / "sweep.json").read_text())
        assert {name: sorted(m["accuracy"]) for name, m in result["methods"].items()} == {
            "a": ["0.3", "0.9"],
            "b": ["0.3", "0.9"],
        }
        assert [len(v) for v in result["methods"]["a"]["accuracy"].values()] == [2, 2]
        assert [len(v) for v in result["methods"]["b"]["accuracy"].values()] == [1, 1]
        rows = rows_of(logs / "version_2" / "sweep" / "sweep.csv")
        assert len(rows) == 2 * 2 + 2
        assert {row["seed"] for row in rows} == {"42", "43"}
        for row in rows:
            assert (
                float(row["accuracy"])
                in result["methods"][row["method"]]["accuracy"][row["sparsity"]]
            )

    def test_the_printed_table_has_the_means(self, logs, capsys):
        path = logs / "version_2" / "sweep" / "sweep.json"
        result = json.loads(path.read_text())
        print_table(SweepResult.read(path).table())
        out = capsys.readouterr().out
        for name, method in result["methods"].items():
            means = [
                100 * statistics.mean(method["accuracy"][sparsity]) for sparsity in ("0.3", "0.9")
            ]
            assert re.search(rf"{name}\W+{means[0]:.1f}\W+{means[1]:.1f}\W", out), out

    def test_a_pruned_checkpoint_is_shown_at_the_sparsity_it_has(self, logs, tmp_path, capsys):
        last = logs / "version_1" / "checkpoints" / "last.ckpt"
        small = [*ARGUMENTS, f"--ckpt_path={last}", f"--output={tmp_path}"]
        main(["sweep", *small, "--sparsities=[0.3,0.9]", "--methods={a: {criterion: Magnitude}}"])
        printed = " ".join(capsys.readouterr().out.split())
        assert "reached sparsities differ from their targets by up to 40 points" in printed
        result = json.loads((tmp_path / "sweep.json").read_text())["methods"]["a"]
        assert result["reached"] == pytest.approx({"0.3": 0.7, "0.9": 0.9}, abs=1e-3)
        assert result["accuracy"]["0.3"] == [
            json.loads((tmp_path / "sweep.json").read_text())["dense"]
        ]
        assert [row.sparsity for row in read_folder(tmp_path, "a")] == list(
            result["reached"].values()
        )

    @pytest.mark.parametrize("name", ["sweep", "a", "b"])
    def test_figures_are_not_blank_and_in_tensorboard(self, logs, name):
        folder = logs / "version_2" / "sweep"
        assert_not_blank(folder / f"{name}.png")
        assert f"sweep/{name}" in EventAccumulator(str(folder)).Reload().Tags()["images"]

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (
                "--methods={a: {criterion: Magnitud}}",
                "'Magnitud' is not known. Did you mean Magnitude?",
            ),
            (
                "--methods=[l2_structured]",
                "unknown method 'l2_structured'. Valid are random_unstructured, l1_",
            ),
            ("--methods={a/b: {criterion: Magnitude}}", "cannot be used as a file name"),
            ("--methods={a: {criterion: Movement}}", "Movement needs training steps"),
            ("--seeds=0", "--seeds must be at least 1, not 0"),
        ],
    )
    def test_bad_input(self, tmp_path, capsys, extra, message):
        with pytest.raises(SystemExit):
            main(["sweep", *ARGUMENTS, f"--output={tmp_path}", extra])
        assert message in capsys.readouterr().err
