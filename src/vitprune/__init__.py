"""Iterative prune-and-finetune training for Vision Transformers.

`prune` prunes a model one-shot, `IterativePruning` prunes during training as a Lightning callback,
`export` writes a pruned model to a folder that plain `transformers` loads, and `load_pruned` reads
the smallest model from such a folder. Names are imported when they are first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitprune.exports.load import load_pruned
    from vitprune.exports.model import export
    from vitprune.pruning.prune import prune
    from vitprune.training.pruning.callback import IterativePruning

__version__ = version("vitprune")
__all__ = ["IterativePruning", "__version__", "export", "load_pruned", "prune"]

MODULES = {
    "IterativePruning": "vitprune.training.pruning.callback",
    "export": "vitprune.exports.model",
    "load_pruned": "vitprune.exports.load",
    "prune": "vitprune.pruning.prune",
}


def __dir__() -> list[str]:
    """List the public API, also what is not imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a name of the public API."""
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
