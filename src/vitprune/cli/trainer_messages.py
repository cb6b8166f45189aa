"""What is said about settings that Lightning's Trainer refuses."""

import re

from lightning import Trainer

from vitprune.cli.options import parameters

KEYS = tuple(parameters(Trainer))
QUOTED = re.compile(r"`(?:Trainer\()?(\w+)|(\w+_\w+)")  # how messages of Lightning name a key
# messages of Lightning that do not name the key or what to do, and what is said instead
ANSWERS = {
    r"No supported gpu backend found": "trainer.accelerator gpu: this machine has no GPU that "
    "torch supports. Use cpu or auto.",
    r"`(\w+)Accelerator` can not run on your system.*: \[(.*)\]": "trainer.accelerator: this "
    r"machine has no {1} device that torch supports. Valid are 'auto', {2}.",
    r"invalid accelerator name: `accelerator='(.*)'`.* are: (.*)": "trainer.accelerator: {1!r} is "
    "not known. Valid are gpu, {2}",
    r"invalid strategy name: `strategy='(.*?)'`": "trainer.strategy: {1!r} is not known. Valid are "
    "auto, ddp, ddp_spawn, fsdp, deepspeed and other names in Lightning's documentation.",
    r"strategy `(\w+)` requires a GPU accelerator": "trainer.strategy {1} needs GPUs. Use auto or "
    "ddp, or set trainer.accelerator to gpu.",
    r"`Trainer\(devices='?(.*?)'?\)` value is not a valid": "trainer.devices must be at least "
    "1, or auto, not {1}.",
    r"`devices` selected with `CPUAccelerator`": "trainer.devices must be an integer of at least 1 "
    "on a CPU, or auto.",
    r"You requested gpu: \[(.*)\] But your machine only has: \[(.*)\]": "trainer.devices asks for "
    "the GPUs {1}, and this machine has {2}. Decrease it, or use auto.",
    r"Device ID's \(GPU\) must be unique": "trainer.devices names a GPU twice. Name each once.",
    r"`Trainer\(barebones=True, (\w+)=(.*?)\)` was passed": "trainer.barebones allows no {1}. "
    "Remove trainer.{1} or trainer.barebones.",
}


def explain_trainer(message: str) -> str:
    """Return what is wrong with a setting of the Trainer, with its key, in one line.

    Args:
        message: A message of Lightning.

    """
    text = " ".join(message.split())
    for pattern, answer in ANSWERS.items():
        if found := re.search(pattern, text):
            return answer.format(found[0], *found.groups())
    named = [word for found in QUOTED.findall(text) for word in found]
    key = next((word for word in named if word in KEYS), None)
    return f"trainer.{key}: {text}" if key else text
