"""Turn the parser's long messages into a short one that lists what would have been valid."""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from types import UnionType
from typing import get_args

from lightning import Trainer

from vitprune.cli.trainer import SCANS, PruningTrainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.model.distillation import Distillation
from vitprune.pruning import (
    AccuracyGuarded,
    Allocation,
    Criterion,
    Granularity,
    IterativePruning,
    LayerSelection,
    Rewind,
    RigL,
    Schedule,
)
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.predictions import PredictionsCSV

SECTIONS = {
    "data": ImageData,
    "model": ViTClassifier,
    "pruning": IterativePruning,
    "trainer": Trainer,
    "checkpoint": RunCheckpoints,
    "predictions": PredictionsCSV,
    "layers": LayerSelection,
    "regrow": RigL,
    "distillation": Distillation,
}
AXES: dict[str, type | UnionType] = {
    "schedule": Schedule | AccuracyGuarded,
    "criterion": Criterion,
    "granularity": Granularity,
    "granularities": Granularity,
    "allocation": Allocation,
    "rewind": Rewind,
}
# lines of the parser's messages that repeat the type system instead of naming the mistake
NOISE = re.compile(
    r"Does not validate against|Problem with given class_path|Subtypes:|Errors:|Given "
    r"value|Expected a <class 'NoneType'>"
)


def explain(message: str, verb: str = "") -> str:
    """Return what is wrong, where, and what would be valid.

    Args:
        message: As jsonargparse writes it: one line, or a tree of the subtypes that it tried.
        verb: What was to be done; some verbs have options of their own.

    """
    keys = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    reasons = [
        line
        for line in lines
        if line and not NOISE.match(line) and not line.startswith("Parser key")
    ]
    for other_type in ("Import path", "Expected a <class"):  # of several types, one fits
        reasons = [line for line in reasons if not line.startswith(other_type)] or reasons
    reason = "; ".join(dict.fromkeys(reasons)) or message.strip()
    reason = re.sub(r"Expected a dot import path string: (\S+)", r"'\1' is not known", reason)
    reason = re.sub(
        r"argument of type '(\w+)' is not.*",
        r"must be the name of a class or a class_path, not a \1",
        reason,
    )
    given = re.search(r"Given value: (\S+)$", message, re.MULTILINE)
    if given and reason.startswith("Expected a <class"):
        reason = f"{reason}, not {given.group(1)}"
    return f"{keys + ': ' if keys else ''}{reason}{_valid(keys, reason, message, verb)}"


def _valid(keys: str, reason: str, message: str, verb: str) -> str:
    """Return a sentence about what could have been written in place of the mistake, or nothing."""
    owner = keys.split(".")[-1]
    if "is not known" in reason and owner in AXES:
        return f". Valid are {', '.join(concrete_names(AXES[owner]))}."
    unknown = re.search(
        r"Option '([\w.]+)' is not accepted|arguments: --([\w.]+)|accept option '([\w.]+)'", reason
    )
    if not unknown:
        return ""
    name = next(group for group in unknown.groups() if group)
    *path, leaf = f"{keys}.{name}".strip(".").split(".")
    options = sorted(_options(path, message, verb))
    close = difflib.get_close_matches(leaf, options, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f".{hint} Valid are {', '.join(options)}."


def _options(path: list[str], message: str, verb: str) -> Iterable[str]:
    owners = [key for key in path if key in SECTIONS or key in AXES]
    if not owners:
        own = _parameters(getattr(PruningTrainer, verb)) if verb in SCANS else []
        return {"seed_everything", "ckpt_path", *own, *SECTIONS} - {
            "datamodule",
            "layers",
            "regrow",
            "distillation",
        }
    if owners[-1] in SECTIONS:
        return _parameters(SECTIONS[owners[-1]])
    axis = AXES[owners[-1]]
    named = [
        cls
        for cls in _concrete(axis)
        if re.search(rf"class_path\W+(\w+\.)*{cls.__name__}\b", message)
    ]
    return {name for cls in named or _concrete(axis) for name in _parameters(cls)}


def _parameters(cls: Callable[..., object]) -> list[str]:
    return [
        name for name in inspect.signature(cls).parameters if name not in ("self", "args", "kwargs")
    ]


def _concrete(axis: type | UnionType) -> list[type]:
    """Return the classes of an axis that can be configured."""
    found = [cls for base in get_args(axis) or (axis,) for cls in _family(base)]
    return [cls for cls in found if not inspect.isabstract(cls)]


def _family(cls: type) -> list[type]:
    children: list[type] = cls.__subclasses__()
    return [cls, *(below for child in children for below in _family(child))]


def concrete_names(axis: type | UnionType) -> list[str]:
    """Return the names of the classes of an axis that can be configured."""
    return sorted(cls.__name__ for cls in _concrete(axis))
