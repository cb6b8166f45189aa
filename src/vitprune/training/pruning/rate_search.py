"""The search for exchange rates between kinds of structure, on training images of a Trainer."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vitprune.errors import UsageError
from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.masks import Masks
from vitprune.pruning.method import Method
from vitprune.pruning.rates import try_rates
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.trials import Trials
from vitprune.training.lightning_internals import unlogged
from vitprune.training.probe import announce, undisturbed
from vitprune.training.pruning.calibration import (
    calibration_loader,
    loss_on,
    sum_over_ranks,
    training_batches,
)
from vitprune.training.pruning.round_log import prefix
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.restoring import tensors_restored

LINES = 10  # that tell how far the search is

Batches = Sequence[tuple[Any, bool]]  # and whether each counts


def check_held_out(trainer: Trainer, module: LightningModule, settings: PruningSettings) -> None:
    """Raise `UsageError` if a search has too few images that are not used for calibration."""
    allocation = settings.method.allocation
    if not isinstance(allocation, Search):
        return
    dataset: Any = calibration_loader(trainer, module).dataset
    if len(dataset) < settings.calibration_images + allocation.images:
        raise UsageError(
            f"Search holds out {allocation.images} training images beside the "
            f"{settings.calibration_images} calibration images, and there are {len(dataset)}. "
            "Decrease pruning.allocation.images or pruning.calibration_images."
        )


def find_rates(
    trainer: Trainer,
    module: LightningModule,
    masks: Masks,
    settings: PruningSettings,
    update: Callable[[Masks, Method], None],
    number: int,
) -> dict[str, float]:
    """Return the rates with the lowest calibration loss on held-out training images.

    Every trial is written to the folder of the run, so that a resumed run continues the search.

    Args:
        trainer: See `calibrate_on`.
        module: The module; its weights are restored.
        masks: Masks of the layers to prune.
        settings: Settings with a `Search`.
        update: Prunes masks by a method to the final target.
        number: Number of the pruning callback in the trainer, from 1.

    """
    allocation = settings.method.allocation
    assert isinstance(allocation, Search)
    batches = list(
        training_batches(
            trainer, module, allocation.images, settings.seed, skipped=settings.calibration_images
        )
    )
    path = _path(trainer, number)
    known = trainer.strategy.broadcast(_read(path))
    if isinstance(known, UsageError):  # on all ranks, or the others would wait for the first
        raise known
    trials = try_rates(
        masks,
        settings.method,
        update,
        partial(_loss, trainer, module, batches),
        settings.seed,
        known.trials,
    )
    count = 1 if trainer.fast_dev_run else allocation.trials
    found = Trials()
    for trial in islice(trials, count):
        found = Trials([*found.trials, trial])
        if found.trials != known.trials[: len(found.trials)]:
            _write(path, found)
        if len(found.trials) % max(1, count // LINES) == 0:
            announce(f"{prefix(number)}search {len(found.trials)}/{count}  {_describe(found)}")
    rates = found.best.rates
    listed = ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())
    announce(f"{prefix(number)}rates found: {listed}")
    return rates


def _loss(trainer: Trainer, module: LightningModule, batches: Batches) -> float:
    """Return the mean loss of the model as it is, in evaluation mode, over all ranks."""
    frozen = [each for each in module.parameters() if not each.requires_grad]
    total = torch.zeros(2, dtype=torch.float64, device=trainer.strategy.root_device)
    with (
        undisturbed(trainer, module),
        unlogged(module),
        tensors_restored(frozen),
        torch.no_grad(),
        torch.compiler.set_stance("force_eager"),
    ):
        begin_evaluation(module)
        for index, (batch, counts) in enumerate(batches):
            loss = loss_on(trainer, module, batch, index)
            if loss is not None and counts:
                images = extract_batch_size(batch)
                total += torch.tensor([float(loss) * images, images], device=total.device)
    loss_sum, images = sum_over_ranks(trainer, total).tolist()
    return loss_sum / images if images else torch.nan


def _describe(found: Trials) -> str:
    first = found.trials[0].rank
    return f"calibration loss {found.best.rank:.4f}, with Isomorphic {first:.4f}"


def _path(trainer: Trainer, number: int) -> Path | None:
    folder = trainer.log_dir  # all processes must ask for it
    return RunFolder(Path(folder)).search(number) if folder and trainer.loggers else None


@rank_zero_only
def _write(path: Path | None, found: Trials) -> None:
    if path:
        found.write(path)


def _read(path: Path | None) -> Trials | UsageError:
    """Return the trials of an interrupted search, or why they cannot be read."""
    try:
        return Trials.read(path) if path else Trials()
    except UsageError as error:
        return error
