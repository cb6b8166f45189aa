"""The subcommand compare."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.files import assert_not_blank, rows_of
from vitprune.cli.main import main
from vitprune.reports.results import read_folder
from vitprune.runs.benchmark_report import BenchmarkReport, Speed
from vitprune.runs.report import RunReport


class TestCompare:
    def test_table_and_figure(self, logs, tmp_path, capsys):
        main(["compare", *(str(logs / f"version_{i}") for i in range(3)), f"--output={tmp_path}"])
        rows = rows_of(tmp_path / "compare.csv")
        assert [row["kind"] for row in rows] == ["one-shot", "iterative", *["no fine-tuning"] * 4]
        for row, version, epochs in zip(rows, (0, 1), (2, 3), strict=False):
            report = json.loads(
                (logs / f"version_{version}" / "export" / "report.json").read_text()
            )
            assert float(row["accuracy"]) == report["pruned"]["accuracy"]
            assert float(row["sparsity"]) == report["sparsity"]["prunable"]
            assert int(row["images_seen"]) == 128 * epochs
        assert float(rows[0]["accuracy_pruned"]) < float(rows[0]["accuracy_dense"])
        assert rows[1]["accuracy_pruned"] == ""
        assert_not_blank(tmp_path / "compare.png")
        out = capsys.readouterr().out
        assert "training budgets differ: 256, 384 images seen" in out
        assert "validation images differ" not in out

    def test_a_run_and_the_sweep_in_its_folder(self, logs, tmp_path):
        shutil.copytree(logs / "version_0", tmp_path / "run")
        shutil.copytree(logs / "version_2" / "sweep", tmp_path / "run" / "sweep")
        assert [row.name for row in read_folder(tmp_path / "run", "r")] == [
            "r",
            "r/a",
            "r/a",
            "r/b",
            "r/b",
        ]
        assert {row.kind for row in read_folder(tmp_path / "run" / "sweep", "r")} == {
            "no fine-tuning"
        }

    def test_latency_is_taken_from_a_benchmark(self, logs, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(logs / "version_0", run)
        path = run / "export" / "report.json"
        speeds = [speed("export", 9.0), speed("run/export", 4.5)]
        benchmark = BenchmarkReport(
            16, 10, "cpu", 1, "float32", False, "2.13", models=speeds, export="run/export"
        )
        replace(RunReport.read(path), benchmark=benchmark).write(path)
        main(["compare", str(run), str(logs / "version_1"), f"--output={tmp_path}"])
        assert [row["latency_ms"] for row in rows_of(tmp_path / "compare.csv")] == ["4.5", ""]

    def test_runs_of_one_name_get_longer_names(self, logs, tmp_path):
        for place, version in (("a", 0), ("b", 1)):
            shutil.copytree(logs / f"version_{version}", tmp_path / place / "version_0")
        shutil.copytree(logs / "version_2" / "sweep", tmp_path / "a" / "version_0" / "sweep")
        main(
            [
                "compare",
                *(str(tmp_path / place / "version_0") for place in "ab"),
                f"--output={tmp_path}",
            ]
        )
        assert [(row["name"], row["kind"]) for row in rows_of(tmp_path / "compare.csv")] == [
            ("a/version_0", "one-shot"),
            *[(f"a/version_0/{method}", "no fine-tuning") for method in "aabb"],
            ("b/version_0", "iterative"),
        ]

    def test_folders_without_a_result_are_skipped(self, logs, tmp_path, capsys):
        stopped = tmp_path / "stopped"
        (stopped / "checkpoints").mkdir(parents=True)
        main(
            [
                "compare",
                str(stopped),
                str(logs / "version_0"),
                str(logs / "version_9"),
                f"--output={tmp_path}",
            ]
        )
        assert [row["name"] for row in rows_of(tmp_path / "compare.csv")] == ["version_0"]
        skipped = [
            line for line in capsys.readouterr().out.splitlines() if line.startswith("Skipped: ")
        ]
        assert skipped == [
            f"Skipped: {folder} is neither a finished run nor a sweep: it has no "
            "export/report.json."
            for folder in (stopped, logs / "version_9")
        ]

    @pytest.mark.parametrize("command", ["compare", "report"])
    def test_a_folder_without_a_run(self, tmp_path, capsys, command):
        with pytest.raises(SystemExit) as stopped:
            main([command, str(tmp_path)])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert str(tmp_path) in error
        assert "has no " in error
        assert "export/report.json" in error

    def test_an_unknown_option(self, tmp_path, capsys):
        with pytest.raises(SystemExit):
            main(["compare", str(tmp_path), "--outputs=x"])
        assert "--output" in capsys.readouterr().err


def speed(name: str, latency: float) -> Speed:
    return Speed(name, latency, 0.1, 100.0, 1.0, 1.0, 1.0, 10, 10, 40)


def test_a_damaged_sweep_is_skipped(logs, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    path = tmp_path / "sweep" / "sweep.json"
    path.write_text("[]")
    output = f"--output={tmp_path / 'compare'}"
    main(["compare", str(tmp_path / "sweep"), str(logs / "version_2" / "sweep"), output])
    assert f"Skipped: {path} is damaged" in capsys.readouterr().out
