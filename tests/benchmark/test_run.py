"""The benchmark command."""

import csv
import shutil

import pytest

from tests.conftest import tiny_net
from vitprune.cli.main import main
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder

QUICK = ["--repeats=1", "--batch_size=1", "--device=cpu", "--threads=1"]


def test_table_files_and_report(program, capsys):
    main(
        [
            "benchmark",
            str(program.path),
            "--repeats=2",
            "--batch_size",
            "4",
            "--device=cpu",
            "--threads=1",
        ]
    )
    out = capsys.readouterr().out
    names = ["dense", "export", "export, load_pruned", "export, model.pt2"]
    for name in [*names, "latency ms (batch 1)", "threads 1", "batch_size 4", "float32"]:
        assert name in out
    report = RunReport.read(program.report)
    assert report.benchmark.threads == 1
    models = report.benchmark.models
    assert [model.name for model in models] == names
    rows = csv.DictReader((program.path / "benchmark.csv").read_text().splitlines())
    assert [row["name"] for row in rows] == names
    dropped = report.shrunk.dropped_parameters
    assert models[0].parameters - models[1].parameters == dropped > 0
    assert models[0].flops > models[1].flops > models[2].flops == models[3].flops
    assert models[2].theoretical_speedup == models[0].flops / models[2].flops
    assert all(model.images_per_s > 0 and model.latency_ms > 0 for model in models)
    assert {model.accuracy for model in models[1:]} == {report.pruned.accuracy}
    assert (models[0].accuracy, models[0].bytes) == (report.base.accuracy, report.base.bytes)
    assert all((program.path / name).is_file() for name in ("benchmark.png", "pareto.png"))


def test_each_of_several_exports_is_told_which_of_the_models_it_is(export, tmp_path):
    places = [tmp_path / place / "version_0" / "export" for place in "ab"]
    for place in places:
        shutil.copytree(export.path, place)
    main(["benchmark", *map(str, [*places, places[0]]), *QUICK])
    for place, name in zip(places, ("a/version_0/export", "b/version_0/export"), strict=True):
        benchmark = RunReport.read(ExportFolder(place).report).benchmark
        assert benchmark.export == name
        assert [model.name for model in benchmark.models].count(name) == 1
        assert benchmark.of_export().name == name


def test_folders_of_others_get_no_files_unless_asked(tmp_path):
    dense = tmp_path / "dense"
    tiny_net("deit").save_pretrained(dense)
    arguments = ["benchmark", str(dense), "--base", str(dense), "--repeats=1", "--device=cpu"]
    main(arguments)
    assert not (dense / "benchmark.csv").exists()
    main([*arguments, "--output", str(tmp_path / "out"), "--dtype=bfloat16"])
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "benchmark.csv",
        "benchmark.json",
        "benchmark.png",
    }


BAD = {
    "no folder": (["{tmp}/nothing"], "nothing' is not an export: it has no config.json"),
    "no model": (["{tmp}/other"], "holds no image classifier that can be loaded"),
    "no folders": ([], "missing FOLDERS"),
    "unknown option": (
        ["{export}", "--batch=3"],
        "Did you mean --batch_size? Valid are --base, --batch_size, ",
    ),
    "batch size": (["{export}", "--batch_size=0"], "--batch_size must be at least 1, not 0"),
    "threads": (["{export}", "--threads=0"], "--threads must be at least 1, not 0"),
    "device": (["{export}", "--device=tpu"], "device"),
    "base": (["{export}", "--base={tmp}"], "is not an export: it has no config.json"),
    "torn report": (["{torn}"], "report.json is damaged or from another version: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message(case, export, tmp_path, capsys):
    arguments, message = BAD[case]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    torn = ExportFolder(tmp_path / "torn")
    shutil.copytree(export.path, torn.path)
    torn.report.write_text('{"finished": ')
    names = {"tmp": tmp_path, "export": export.path, "torn": torn.path}
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", *(argument.format(**names) for argument in arguments)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("vitprune: error: ")
    assert message in error
    assert "Traceback" not in error
