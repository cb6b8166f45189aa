"""Silence messages of other libraries that a user of this program cannot act on."""

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import huggingface_hub
import transformers

UNHELPFUL_WARNINGS = (
    # `check_weight_averaging` refuses the cases in which it would fail
    "You're using the WeightAveraging callback with a model that overrides",
    # the user asked for it
    r"You are trying to `self.log\(\)` but `Trainer\(barebones=True\)`",
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*is smaller than the logging interval.*",
    r"Your `IterableDataset` has `__len__` defined.*",
)
UNHELPFUL_LINES = (
    "Tip:",
    "TPU available",
    "GPU available: False",
    "Loading `train_dataloader`",
    "Seed set to",
    "`Trainer.fit` stopped: `max_epochs=",
)


def quieten() -> None:
    """Silence them for the rest of the process."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning's own calls
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    huggingface_hub.logging.set_verbosity_error()
    for message in UNHELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.fabric.utilities.rank_zero",
        "lightning.fabric.utilities.seed",
    ):
        logging.getLogger(name).addFilter(
            lambda record: not any(u in record.getMessage() for u in UNHELPFUL_LINES)
        )


@contextmanager
def no_tracebacks_of_tensorboard() -> Iterator[None]:
    """Hide the traceback of TensorBoard's thread; its next call raises the same error."""
    report = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard."):
            report(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = report
