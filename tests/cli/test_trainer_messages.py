"""What is said about settings that Lightning's Trainer refuses."""

import pytest
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vitprune.cli.trainer import PruningTrainer
from vitprune.cli.trainer_messages import explain_trainer

CPU = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
OF_LIGHTNING = [
    (
        "No supported gpu backend found!",
        "trainer.accelerator gpu: this machine has no GPU that torch supports. Use cpu or auto.",
    ),
    (
        "`CUDAAccelerator` can not run on your system since the accelerator is not available. The "
        "following accelerator(s) is available and can be passed into `accelerator` argument of "
        "`Trainer`: ['cpu'].",
        "trainer.accelerator: this machine has no CUDA device that torch supports. Valid are "
        "'auto', 'cpu'.",
    ),
    (
        "You requested gpu: [0, 1, 2, 3]\n But your machine only has: [0]",
        "trainer.devices asks for the GPUs 0, 1, 2, 3, and this machine has 0. Decrease it, or use "
        "auto.",
    ),
    ("the sky fell", "the sky fell"),
]


@pytest.mark.parametrize(("message", "said"), OF_LIGHTNING)
def test_messages_of_other_machines(message, said):
    assert explain_trainer(message) == said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accelerator": "foo"}, "trainer.accelerator: 'foo' is not known. Valid are gpu, auto, "),
        ({"strategy": "foo"}, "trainer.strategy: 'foo' is not known. Valid are auto, ddp, "),
        ({"strategy": "fsdp"}, "trainer.strategy fsdp needs GPUs. Use auto or ddp, or "),
        ({"devices": 0}, "trainer.devices must be at least 1, or auto, not 0."),
        ({"devices": "0"}, "trainer.devices must be at least 1, or auto, not 0."),
        ({"devices": "x"}, "trainer.devices must be an integer of at least 1 on a CPU, or auto."),
        ({"num_nodes": 0}, "trainer.num_nodes: `num_nodes` must be a positive integer"),
        ({"limit_train_batches": 1.5}, "trainer.limit_train_batches: You have passed invalid "),
        ({"gradient_clip_algorithm": "foo"}, "trainer.gradient_clip_algorithm: "),
        ({"profiler": "foo"}, "trainer.profiler: When passing string value for the `profiler` "),
        ({"fast_dev_run": -1}, "trainer.fast_dev_run: fast_dev_run=-1 is not a valid "),
        (
            {"barebones": True, "profiler": "simple"},
            "trainer.barebones allows no profiler. Remove trainer.profiler or trainer.barebones.",
        ),
    ],
    ids=str,
)
def test_messages_of_this_version(settings, said):
    bare = {"accelerator": "cpu"} if "barebones" in settings else CPU
    with pytest.raises((ValueError, TypeError, MisconfigurationException)) as refused:
        PruningTrainer(**{**bare, **settings})
    assert explain_trainer(str(refused.value)).startswith(said)
