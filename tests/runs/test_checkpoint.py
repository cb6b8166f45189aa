"""Reading a training checkpoint: nothing is executed, and nothing is half read."""

import os

import pytest
import torch

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.runs.checkpoint import (
    COMMANDS,
    DATA,
    PRUNING,
    PRUNING_FORMAT,
    RUN_CHECKPOINTS,
    TrainingCheckpoint,
)
from vitprune.training.checkpoints import RunCheckpoints

CONTENT = {
    "state_dict": {"net.weight": torch.ones(2)},
    "loops": {},
    "global_step": 12,
    DATA: {"epoch": 3},
    COMMANDS: ["vitprune fit"],
    PRUNING: [{"format": PRUNING_FORMAT}],
    "callbacks": {RUN_CHECKPOINTS: {"best_score": 0.5}},
    "hyper_parameters": {"pretrained": "digits"},
}


@pytest.fixture
def save(tmp_path):
    def save(content):
        torch.save(content, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return save


def test_what_is_known_about_a_run(save):
    checkpoint = TrainingCheckpoint.read(save(CONTENT))
    assert checkpoint.epoch == 3
    assert checkpoint.step == 12
    assert checkpoint.commands == ["vitprune fit"]
    assert checkpoint.pretrained == "digits"
    assert checkpoint.pruning == [{"format": PRUNING_FORMAT}]
    assert checkpoint.run_checkpoints == {"best_score": 0.5}
    assert torch.equal(checkpoint.weights["net.weight"], torch.ones(2))


def test_a_run_without_pruning_and_commands(save):
    checkpoint = TrainingCheckpoint.read(
        save({"state_dict": {}, "loops": {}, "global_step": 0, "callbacks": {}})
    )
    assert checkpoint.pruning == []
    assert checkpoint.masks == {}
    assert checkpoint.commands == []
    assert checkpoint.pretrained is None
    with pytest.raises(UsageError, match="not a training checkpoint of vitprune: .*'ImageData'"):
        checkpoint.check_data()


@pytest.mark.parametrize("key", ["state_dict", "loops", "global_step"])
def test_a_missing_key_is_named(save, key):
    with pytest.raises(
        UsageError, match=f"not a training checkpoint of vitprune: it has no '{key}'"
    ):
        TrainingCheckpoint.read(save({k: v for k, v in CONTENT.items() if k != key}))


@pytest.mark.parametrize("state", [{}, {"rounds": []}, {"format": 1}])
def test_a_checkpoint_of_an_earlier_version_is_refused(save, state):
    with pytest.raises(UsageError, match=r"a.ckpt was saved by an earlier .*format 1, not 3"):
        TrainingCheckpoint.read(save({**CONTENT, "callbacks": {"IterativePruning": state}}))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "bad.ckpt").write_bytes(content)
    with pytest.raises(UsageError, match=r"bad.ckpt' is not a checkpoint that can be loaded"):
        TrainingCheckpoint.read(tmp_path / "bad.ckpt")


def test_code_is_not_executed(tmp_path, save):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    with pytest.raises(UsageError, match="safely"):
        TrainingCheckpoint.read(save({**CONTENT, "x": Malicious()}))
    assert not (tmp_path / "executed").exists()


def test_folders_and_missing_files_are_named(tmp_path):
    with pytest.raises(UsageError, match="there is no checkpoint .*none.ckpt"):
        TrainingCheckpoint.read(tmp_path / "none.ckpt")
    with pytest.raises(UsageError, match="is a folder without checkpoints"):
        TrainingCheckpoint.read(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="exported model, not a checkpoint.*--model.pretrained"):
        TrainingCheckpoint.read(tmp_path)


def test_the_keys_are_those_that_are_saved():
    assert RunCheckpoints().state_key == RUN_CHECKPOINTS
    assert ImageData.__qualname__ == DATA  # which Lightning saves its state under


def test_an_incomplete_pruning_state_is_named(save):
    checkpoint = TrainingCheckpoint.read(save(CONTENT))
    with pytest.raises(UsageError, match="pruning state of the checkpoint is incomplete"):
        _ = checkpoint.record
    assert TrainingCheckpoint.read(save({**CONTENT, "pruning": []})).pruning == []
