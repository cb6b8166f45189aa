"""Files and folders of other users: one line names them, before anything long is computed."""

import shutil

import pytest

from tests.cli.arguments import ITERATIVE, SMALL
from tests.data.files import picture
from tests.permissions import permissions_apply
from vitprune.cli.main import main

RESUME = ["fit", "--ckpt_path=last", "--trainer.max_epochs=4", "--trainer.default_root_dir={tmp}"]
FIT = [*ITERATIVE, *SMALL, "--data.batch_size=2", "--trainer.default_root_dir={tmp}"]
PREDICT = [
    "predict",
    "--model.pretrained={run}/export",
    "--data.predict_images={tmp}/images",
    "--predictions.output={tmp}/out/predictions.csv",
]
EXPORT = ["export", "--ckpt_path={run}", "--output={tmp}/out/export"]
TABLE = ["latency-table", "digits", "--output={tmp}/out/latency.json"]
SHRINK = ["shrink", "digits", "--images=digits", "--output={tmp}/out/small", "--flops=0.3"]
SCAN = ["sensitivity", "--model.pretrained=digits", "--data.source=digits", "--output={tmp}/out"]
READ_ONLY = 0o500
# what has which mode, the command, and what its line says
CASES = {
    "images": ("images", 0, [*FIT, "--data.source={tmp}/images"], "{tmp}/images."),
    "one image": ("images/train/a/0.png", 0, [*FIT, "--data.source={tmp}/images"], "a/0.png of"),
    "images to predict": ("images", 0, PREDICT, "{tmp}/images."),
    "runs": ("lightning_logs", READ_ONLY, FIT, "{tmp}/lightning_logs/version_1."),
    "runs to resume": ("lightning_logs", 0, RESUME, "{tmp}/lightning_logs."),
    "a run": ("lightning_logs/version_0", READ_ONLY, RESUME, "{run}."),
    "checkpoints": (
        "lightning_logs/version_0/checkpoints",
        READ_ONLY,
        RESUME,
        "{run}/checkpoints.",
    ),
    "a checkpoint": (
        "lightning_logs/version_0/checkpoints/last.ckpt",
        0,
        RESUME,
        "{run}/checkpoints/last.ckpt cannot be read: Permission denied.",
    ),
    "metrics": ("lightning_logs/version_0/metrics.csv", 0o400, RESUME, "{run}/metrics.csv."),
    "a configuration": (
        "lightning_logs/version_0/config.yaml",
        0,
        EXPORT,
        "{run}/config.yaml cannot be read: Permission denied.",
    ),
    "a model": ("lightning_logs/version_0/export", 0, PREDICT, "{run}/export/config.json."),
    "weights": (
        "lightning_logs/version_0/export/model.safetensors",
        0,
        PREDICT,
        "{run}/export/model.safetensors cannot be read: Permission denied.",
    ),
    "weights to benchmark": (
        "lightning_logs/version_0/export/model.safetensors",
        0,
        ["benchmark", "{run}/export"],
        "{run}/export/model.safetensors cannot be read: Permission denied.",
    ),
    "a benchmarked export": (
        "lightning_logs/version_0/export",
        READ_ONLY,
        ["benchmark", "{run}/export"],
        "{run}/export.",
    ),
    "a report": ("lightning_logs/version_0", READ_ONLY, ["report", "{run}"], "{run}/report"),
    "an export": ("out", READ_ONLY, EXPORT, "{tmp}/out."),
    "predictions": ("out", READ_ONLY, PREDICT, "{tmp}/out."),
    "a latency table": ("out", READ_ONLY, TABLE, "{tmp}/out."),
    "a smaller model": ("out", READ_ONLY, SHRINK, "{tmp}/out."),
    "a scan": ("out", READ_ONLY, SCAN, "{tmp}/out/settings.json."),
}


@pytest.fixture
def run(finished_run, tmp_path):
    """Return a copy of a finished run, beside images and a folder for results."""
    folder = tmp_path / "lightning_logs" / "version_0"
    shutil.copytree(finished_run, folder)
    for label in ("train/a", "train/b", "validation/a", "validation/b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(2):
            picture().save(tmp_path / "images" / label / f"{number}.png")
    (tmp_path / "out").mkdir()
    return folder


@pytest.mark.parametrize("case", CASES)
def test_what_may_not_be_read_or_written_is_named(case, run, tmp_path, capsys):
    name, mode, command, said = CASES[case]
    place = tmp_path / name
    before = place.stat().st_mode
    place.chmod(mode)
    try:
        with permissions_apply(), pytest.raises(SystemExit) as stopped:
            main([word.format(run=run, tmp=tmp_path) for word in command])
    finally:
        place.chmod(before)
    assert stopped.value.code in (1, 2)
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("vitprune")]
    assert "Permission denied" in line
    assert said.format(run=run, tmp=tmp_path) in line
    assert ".partial" not in line
    assert not list((tmp_path / "out").iterdir())
