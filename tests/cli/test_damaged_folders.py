"""Damaged runs, checkpoints and exports: every command names the file in one line."""

import json
import shutil

import pytest
import torch

from vitprune import load_pruned
from vitprune.cli.main import main
from vitprune.errors import UsageError

CONTENTS = {
    "empty": b"",
    "null": b"null",
    "a list": b"[1, 2]",
    "NUL": b"{\x00",
    "deeply nested": b"[" * 9999,
    "torn": None,
}
COMMANDS = {
    "export": ["export", "--ckpt_path={run}", "--output={tmp}/out"],
    "resume": ["fit", "--ckpt_path=last", "--trainer.default_root_dir={tmp}"],
    "benchmark": ["benchmark", "{run}/export"],
    "pretrained": ["validate", "--model.pretrained={run}/export", "--data.source=digits"],
}
FILES = [
    ("export", "config.yaml"),
    ("resume", "config.yaml"),
    ("benchmark", "export/config.json"),
    ("benchmark", "export/report.json"),
    ("pretrained", "export/config.json"),
    ("pretrained", "export/preprocessor_config.json"),
]


@pytest.fixture
def run(finished_run, tmp_path):
    """Return a copy of a finished run, which is the newest below `tmp_path`."""
    folder = tmp_path / "lightning_logs" / "version_0"
    shutil.copytree(finished_run, folder)
    return folder


def fails(command, run, tmp_path, capsys):
    """Run a command that fails; return its message, which is one line."""
    with pytest.raises(SystemExit) as stopped:
        main([word.format(run=run, tmp=tmp_path) for word in COMMANDS[command]])
    assert stopped.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vitprune")]
    assert len(said) == 1
    return said[0]


def damage(path, content):
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2] if content is None else content)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize(("command", "file"), FILES)
def test_a_damaged_file_is_named(run, tmp_path, capsys, command, file, content):
    damage(run / file, CONTENTS[content])
    message = fails(command, run, tmp_path, capsys)
    assert message.startswith(f"vitprune: error: {run / file} is damaged or from another version")


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("command", ["export", "resume"])
def test_a_damaged_checkpoint_is_named(run, tmp_path, capsys, command, content):
    name = {"export": "best.ckpt", "resume": "last.ckpt"}[command]
    damage(run / "checkpoints" / name, CONTENTS[content])
    assert f"{name}' is not a checkpoint" in fails(command, run, tmp_path, capsys)


@pytest.mark.parametrize(
    "key", ["loops", "hyper_parameters", "state_dict", "optimizer_states", "callbacks"]
)
def test_a_checkpoint_without_a_key_is_not_resumed(run, tmp_path, capsys, key):
    path = run / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    del content[key]
    torch.save(content, path)
    assert f"it has no {key!r}" in fails("resume", run, tmp_path, capsys)


def test_weights_that_are_missing_are_not_random_ones(run):
    from safetensors.torch import load_file, save_file

    path = run / "export" / "model.safetensors"
    weights = load_file(path)
    del weights["classifier.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 weights, as classifier.weight"):
        load_pruned(run / "export")


def test_numbers_in_metrics_that_are_none_are_skipped(run, tmp_path):
    with (run / "metrics.csv").open("ab") as file:
        file.write(b"1,throughput/images_seen,inf\n2,throughput/images_seen,nan\n,,\n")
    main(["compare", str(run), f"--output={tmp_path / 'compare'}"])


VALUES = {
    "no classes": ("config.json", {"id2label": {}}, "id2label: "),
    "a list of classes": ("config.json", {"id2label": ["cat"]}, "id2label: Input should be a map"),
    "no pixels": ("preprocessor_config.json", {"size": {"height": 0}}, "size: must be above 0"),
    "a size in words": ("preprocessor_config.json", {"size": "big"}, "not 'big'"),
    "a mean in words": ("preprocessor_config.json", {"image_mean": "x"}, "image_mean: must be a"),
    "no deviation": ("preprocessor_config.json", {"image_std": [0, 1, 1]}, "image_std: must be"),
    "interpolation": ("preprocessor_config.json", {"resample": 99}, "resample: must be one of"),
}


@pytest.mark.parametrize("case", VALUES)
def test_an_impossible_value_is_named_with_its_key(run, tmp_path, capsys, case):
    file, values, said = VALUES[case]
    path = run / "export" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    message = fails("pretrained", run, tmp_path, capsys)
    assert f"{path} is damaged or from another version: " in message
    assert said in message


@pytest.mark.parametrize("command", ["benchmark", "pretrained", "export"])
def test_pointers_of_git_lfs_are_named(run, tmp_path, capsys, command):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for path in (run / "export" / "model.safetensors", run / "checkpoints" / "best.ckpt"):
        path.write_bytes(pointer)
    assert "Fetch it with `git lfs pull`" in fails(command, run, tmp_path, capsys)
