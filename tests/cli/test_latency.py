"""Pruning by latency on the command line: a table of the user's, and one that a run measures."""

import pytest

from tests.cli.arguments import SMALL
from tests.cli.latency_tables import proportional_table
from vitprune.cli.main import main
from vitprune.pruning.budget.latency_table import LatencyTable
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder

STRUCTURE = "--pruning.granularity.granularities=[{class_path: HeadDim}, {class_path: Neuron}]"
FASTER = [
    "fit",
    "--config=faster.yaml",
    "--model.pretrained=digits",
    "--data.source=digits",
    "--data.max_images={train: 64, validation: 32}",
    "--pruning.schedule.end=1",
    STRUCTURE,
    *SMALL,
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a file with a table of the digits model."""
    file = tmp_path_factory.mktemp("table") / "latency.json"
    return proportional_table(file, "head_dims", "neurons")


def test_a_table_of_the_users(table, tmp_path, capsys):
    wanted = [f"--pruning.budget.table={table}", "--pruning.budget.speedup=1.4"]
    main([*FASTER, *wanted, "--trainer.max_epochs=2", f"--trainer.default_root_dir={tmp_path}"])
    run = RunFolder(tmp_path / "lightning_logs" / "version_0")
    report = RunReport.read(run.export.report)
    assert report.rounds[-1].left["ms"] == pytest.approx(10 / 1.4, abs=0.1)
    assert report.rounds[-1].left["ms"] <= 10 / 1.4
    assert report.latency
    assert report.latency.predicted_speedup == pytest.approx(1.4, abs=0.02)
    assert report.latency.conditions == LatencyTable.read(table).conditions
    assert "times as fast, 1.4" in capsys.readouterr().out
    row = f"| latency of {report.latency.conditions} | "
    assert [line for line in run.export.card.read_text().split("\n") if line.startswith(row)]
    assert not run.latency.exists()
    main(["report", str(run.path), "--images=0"])
    assert "times as fast, 1.4" in run.html_report.read_text()


@pytest.mark.slow
def test_a_run_measures_its_table_and_a_resumed_run_goes_on_with_it(tmp_path, capsys):
    wanted = ["--pruning.budget.batch_size=32", "--pruning.budget.speedup=1.02"]
    run = RunFolder(tmp_path / "lightning_logs" / "version_0")
    arguments = [*FASTER, *wanted, f"--trainer.default_root_dir={tmp_path}"]
    main([*arguments, "--trainer.max_epochs=2"])
    measured = LatencyTable.read(run.latency)
    assert measured.conditions.batch_size == 32
    main([*arguments, "--trainer.max_epochs=3", "--ckpt_path=last"])
    assert LatencyTable.read(run.latency) == measured  # not measured again, which has noise
    left = RunReport.read(run.export.report).rounds[-1].left["ms"]
    assert left <= measured.dense_ms / 1.02

    run.latency.unlink()
    with pytest.raises(SystemExit):
        main([*arguments, "--trainer.max_epochs=4", "--ckpt_path=last"])
    assert "latency.json of its run is missing. Set pruning.budget.table" in capsys.readouterr().err


def test_a_measured_table_outlives_a_speedup_out_of_reach(tmp_path, capsys):
    root = f"--trainer.default_root_dir={tmp_path}"
    with pytest.raises(SystemExit):
        main([*FASTER, "--pruning.budget.speedup=500", root])
    kept = tmp_path / "latency-1.json"
    assert f"The table is kept: --pruning.budget.table {kept}" in capsys.readouterr().err
    assert LatencyTable.read(kept).conditions.batch_size == 1


def test_merged_tokens_are_not_measured(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*FASTER, "--model.token_merging=2", f"--trainer.default_root_dir={tmp_path}"])
    assert "Set model.token_merging to 0, or use FLOPs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pruning.budget.speedup=9"], "of the latency cannot be removed. At most"),
        (["--pruning.budget.speedup=null"], "neither is given. Set one of"),
        (
            ["--pruning.granularity=Element"],
            "pruning.budget Latency needs a granularity that makes the model smaller, and Element ",
        ),
    ],
)
def test_what_is_refused_before_training(options, message, table, tmp_path, capsys):
    root = f"--trainer.default_root_dir={tmp_path}"
    with pytest.raises(SystemExit):
        main([*FASTER, f"--pruning.budget.table={table}", *options, root])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "lightning_logs").exists()


def test_onnx_runtime_is_measured_in_float32(tmp_path, capsys):
    options = ["--backend=onnx", "--dtype=float16", f"--output={tmp_path / 'latency.json'}"]
    with pytest.raises(SystemExit):
        main(["latency-table", "digits", *options])
    assert "the backend onnx is measured on a CPU in float32" in capsys.readouterr().err


def test_a_table_does_not_fit_into_a_folder(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["latency-table", "digits", f"--output={tmp_path}"])
    assert "is a folder. Use the path of a file." in capsys.readouterr().err
