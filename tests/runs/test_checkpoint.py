"""Reading a training checkpoint: nothing is executed, and nothing is half read."""

import copy
import os

import pytest
import torch

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.runs.checkpoint import (
    COMMANDS,
    DATA,
    GENERATORS,
    PRUNING,
    PRUNING_FORMAT,
    RUN_CHECKPOINTS,
    TrainingCheckpoint,
)
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import generator_states
from vitprune.training.pruning.search import SAVED

PROGRESS = {name: {"ready": 3, "completed": 3} for name in ("total", "current")}
STATE = {
    "format": PRUNING_FORMAT,
    "rounds": [
        {
            "round": 1,
            "epoch": 0,
            "step": 0,
            "target": 0.5,
            "sparsity": 0.5,
            "removed": 0.5,
            "left": {},
            "pruned": 0.6,
            "finetuned": None,
        }
    ],
    "dense": {"val/accuracy": 0.9},
    "dense_zeros": 0,
    "dense_sparsity": 0.0,
    "finished": True,
    "statistics": {},
    "early_weights": {},
    "search": {},
    "masks": {"keep": {"net.weight": torch.tensor([2], dtype=torch.uint8)}, "dense": {}},
    "settings": {
        "monitor": "val/accuracy",
        **{name: {} for name in ("schedule", "criterion", "granularity", "allocation", "layers")},
    },
}
CONTENT = {
    "pytorch-lightning_version": "2.6.6",
    "state_dict": {"net.weight": torch.ones(2)},
    "loops": {
        "fit_loop": {
            "epoch_progress": PROGRESS,
            "epoch_loop.batch_progress": PROGRESS,
            "epoch_loop.scheduler_progress": PROGRESS,
            "epoch_loop.automatic_optimization.optim_progress": {
                "optimizer": {"step": PROGRESS, "zero_grad": PROGRESS}
            },
            "epoch_loop.state_dict": {},
        }
    },
    "global_step": 12,
    "optimizer_states": [{"state": {}, "param_groups": [{"params": ["net.weight"]}]}],
    "lr_schedulers": [{"last_epoch": 12}],
    DATA: {"epoch": 3, "batches": 0},
    COMMANDS: ["vitprune fit"],
    PRUNING: [STATE],
    GENERATORS: [generator_states()],
    "callbacks": {RUN_CHECKPOINTS: {"best_score": 0.5, "best_sparsity": 0.5}},
    "hyper_parameters": {
        "pretrained": "digits",
        "learning_rate": 1e-3,
        "weight_decay": 0,
        "layer_decay": 1.0,
    },
}
SEARCH = dict.fromkeys(SAVED)


def changed(*path, **value):
    """Return the content without one key, or with another value there."""
    content = copy.deepcopy(CONTENT)
    place = content
    for key in path[:-1]:
        place = place[key]
    if value:
        place[path[-1]] = value["to"]
    else:
        del place[path[-1]]
    return content


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
    assert checkpoint.pruning[0]["format"] == PRUNING_FORMAT
    assert checkpoint.record.rounds[0].accuracy_pruned == 0.6
    assert checkpoint.run_checkpoints == {"best_score": 0.5, "best_sparsity": 0.5}
    assert torch.equal(checkpoint.weights["net.weight"], torch.ones(2))


BARE = {"state_dict": {}, "loops": {}, "global_step": 0, "pytorch-lightning_version": "2.6.6"}


def test_a_run_without_pruning_and_commands(save):
    checkpoint = TrainingCheckpoint.read(save({**BARE, "callbacks": {}}))
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


GENERATOR = (GENERATORS, 0)
LOOP = ("loops", "fit_loop")
DAMAGED = {
    "it has no 'pytorch-lightning_version'": changed("pytorch-lightning_version"),
    "global_step: Input should be a valid integer": changed("global_step", to="12"),
    "state_dict: Input should be a mapping of keys": changed("state_dict", to=None),
    "state_dict.net.weight: Input should be an instance": changed("state_dict", "net.weight", to=1),
    "loops: Input should be": changed("loops", to=None),
    "hyper_parameters: Input should be a mapping of keys": changed("hyper_parameters", to=[]),
    "callbacks: Input should be a mapping of keys": changed("callbacks", to="x"),
    "callbacks.RunCheckpoints: it has no": changed("callbacks", RUN_CHECKPOINTS, "best_score"),
    "ImageData: it has no 'epoch'": changed(DATA, "epoch"),
    "commands.0: Input should be a valid string": changed(COMMANDS, to=[7]),
    "pruning: Input should be a valid list": changed(PRUNING, to={}),
    "pruning.0: it has no 'settings'": changed(PRUNING, 0, "settings"),
    "pruning.0.settings: it has no 'monitor'": changed(PRUNING, 0, "settings", "monitor"),
    "pruning.0.rounds.0: it has no 'pruned'": changed(PRUNING, 0, "rounds", 0, "pruned"),
    "pruning.0.search: it has no 'step'": changed(
        PRUNING, 0, "search", to={name: None for name in SAVED if name != "step"}
    ),
    "pruning.0.masks: it has no 'keep'": changed(PRUNING, 0, "masks", "keep"),
    "rounds, but no masks": changed(PRUNING, 0, "masks", to=None),
    "the mask of net.weight has 3 bytes for 2 weights": changed(
        PRUNING, 0, "masks", "keep", "net.weight", to=torch.zeros(3, dtype=torch.uint8)
    ),
    "not a mask in bits": changed(PRUNING, 0, "masks", "keep", "net.weight", to=torch.ones(1)),
    "generators.0: it has no 'torch'": changed(*GENERATOR, "torch"),
    "generators.0.torch: it is not the state": changed(*GENERATOR, "torch", to=torch.ones(3)),
    "generators.0.python: it is not the state": changed(*GENERATOR, "python", to=None),
}
NOT_RESUMABLE = {
    "it has no 'hyper_parameters'": changed("hyper_parameters"),
    "it has no 'callbacks'": changed("callbacks"),
    "it has no 'optimizer_states'": changed("optimizer_states"),
    "it has no 'lr_schedulers'": changed("lr_schedulers"),
    "loops: it has no 'fit_loop'": changed(*LOOP),
    "loops.fit_loop: it has no 'epoch_progress'": changed(*LOOP, "epoch_progress"),
    "optimizer_states.0: it has no 'state'": changed("optimizer_states", 0, "state"),
}


@pytest.mark.parametrize("mistake", DAMAGED)
def test_the_first_thing_that_is_wrong_is_named(save, mistake):
    path = save(DAMAGED[mistake])
    with pytest.raises(UsageError) as info:
        TrainingCheckpoint.read(path)
    assert str(info.value).startswith(f"{path} is damaged or from another version: ")
    assert mistake in str(info.value)


@pytest.mark.parametrize("mistake", NOT_RESUMABLE)
def test_what_training_cannot_be_resumed_from_can_still_be_exported(save, mistake):
    path = save(NOT_RESUMABLE[mistake])
    checkpoint = TrainingCheckpoint.read(path)
    assert checkpoint.epoch == 3
    with pytest.raises(UsageError) as info:
        checkpoint.check_resumable()
    assert f"{path} is damaged or from another version: {mistake}" in str(info.value)


def test_a_whole_checkpoint_is_resumable(save):
    TrainingCheckpoint.read(save(CONTENT)).check_resumable()
    TrainingCheckpoint.read(save(changed(PRUNING, 0, "search", to=SEARCH))).check_resumable()
    assert TrainingCheckpoint.read(save({**CONTENT, "pruning": []})).pruning == []
