"""Right: trainings by the Trainer on the device."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.scale import CLASSES, Scale
from vitprune.model import ViTClassifier
from vitprune.pruning import Global, IterativePruning, Linear
from vitprune.pruning.masks.sharding import local, whole
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import ExactResume

Implementation = Literal["fused", "foreach"]
PRECISIONS = ("bf16-mixed", "16-mixed", "bf16-true")
IMPLEMENTATIONS: tuple[Implementation, ...] = ("fused", "foreach")
BATCHES = 4  # of an epoch
NEARLY = 1e-6  # relative difference of weights that other kernels may make


class Classifier(ViTClassifier):
    """A classifier with a choice of AdamW's implementation."""

    implementation: Implementation = "foreach"

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW without a schedule."""
        groups = self._groups(self.hparams)
        return {
            "optimizer": torch.optim.AdamW(
                groups,
                1e-3,
                fused=self.implementation == "fused",
                foreach=self.implementation == "foreach",
            )
        }


class NonzeroPruned(Callback):
    """Count pruned entries that are not zero, after every step."""

    def __init__(self, pruning: IterativePruning) -> None:
        self.pruning = pruning
        self.weights = 0
        self.steps = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        for mask in self.pruning.masks:
            pruned = local(mask.parameter.detach())[~mask.on_gradient.keep]
            self.weights += int(torch.count_nonzero(pruned))
        self.steps = trainer.global_step


class KeepFirst(Callback):
    """Keep the checkpoint of the first epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy `last.ckpt`."""
        if trainer.current_epoch == 1:
            shutil.copy(RunFolder(Path(trainer.default_root_dir)).last, self.path)


def classifier(scale: Scale, dropout: float = 0.0) -> Classifier:
    """Return a classifier with random weights."""
    architecture = {"model_type": "vit", **scale.architecture(scale.small_model)}
    labels = [str(number) for number in range(CLASSES)]
    return Classifier(architecture={**architecture, "hidden_dropout_prob": dropout}, labels=labels)


def build_trainer(
    scale: Scale, folder: str, callbacks: Sequence[Callback], **options: Any
) -> Trainer:
    """Return a quiet Trainer on one device."""
    return Trainer(
        accelerator=scale.device,
        devices=1,
        default_root_dir=folder,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=any(isinstance(each, RunCheckpoints) for each in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        **options,
    )


def loader(scale: Scale, images: int = 8) -> DataLoader:
    """Return an epoch of random batches on the CPU."""
    pixels, labels = scale.batch(scale.small_model, images * BATCHES, "cpu")
    batches = [
        {"pixel_values": x, "labels": y}
        for x, y in zip(pixels.split(images), labels.split(images), strict=True)
    ]
    # with its own generator, from which it draws a number for every epoch
    return DataLoader(cast(Dataset, batches), batch_size=None, generator=torch.Generator())


def pruning_in_every_epoch() -> IterativePruning:
    """Return a callback that prunes in each of three epochs."""
    return IterativePruning(Linear(0.8, end=2), allocation=Global(), monitor=None)


def zeros(scale: Scale) -> Iterator[Figure]:
    """Check that masked weights are exactly zero after AdamW, in every precision."""
    for precision in PRECISIONS:
        if precision == "16-mixed" and not scale.on_gpu:
            continue
        for name in IMPLEMENTATIONS:
            label = f"nonzero pruned weights, {precision}, {name}"
            yield from attempted(label, partial(_train, scale, precision, name, label))


def _train(scale: Scale, precision: str, name: Implementation, label: str) -> Iterator[Figure]:
    model = classifier(scale)
    model.implementation = name
    pruning = pruning_in_every_epoch()
    counting = NonzeroPruned(pruning)
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"precision": precision, "max_epochs": 3}
        trainer = build_trainer(scale, folder, [pruning, counting], **options)
        trainer.fit(model, loader(scale))
    passed = counting.weights == 0 and counting.steps > 0 and pruning.state.sparsity > 0.79
    yield Figure(label, counting.weights, passed=passed, note=f"{counting.steps} steps")


def resume(scale: Scale) -> Iterator[Figure]:
    """Compare an interrupted and resumed run with an undisturbed one, bit for bit."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "first.ckpt"
        expected = _run(scale, folder, [KeepFirst(checkpoint)])
        found = _run(scale, folder, [], resumed_from=checkpoint)
    different = sum(int((found[name] != value).sum()) for name, value in expected.items())
    yield Figure(
        "resumed: entries of weights, moments and masks unlike the undisturbed run's",
        different,
        passed=different == 0,
        note=f"{len(expected)} tensors, bf16-mixed, dropout, deterministic algorithms",
    )


def _run(
    scale: Scale, folder: str, callbacks: Sequence[Callback], resumed_from: Path | None = None
) -> dict[str, Tensor]:
    """Train, and return weights, moments and masks by name."""
    seed_everything(42, verbose=False)
    model = classifier(scale, dropout=0.1)
    pruning = pruning_in_every_epoch()
    options: dict[str, Any] = {"precision": "bf16-mixed", "deterministic": True}
    callbacks = [pruning, ExactResume(), RunCheckpoints(), *callbacks]
    trainer = build_trainer(scale, folder, callbacks, max_epochs=3, **options)
    trainer.fit(model, loader(scale), ckpt_path=resumed_from, weights_only=True)
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state |= {f"mask of {mask.name}": mask.keep.clone() for mask in pruning.masks}
    names = {id(value): name for name, value in model.named_parameters()}
    for parameter, moments in trainer.optimizers[0].state.items():
        for kind, value in moments.items():
            state[f"{kind} of {names[id(parameter)]}"] = value.clone()
    return {name: value.cpu() for name, value in state.items()}


def one_rank(scale: Scale) -> Iterator[Figure]:
    """Compare DDP and FSDP2 of one rank with a plain training."""
    plain = _train_by(scale, "auto")
    strategies: dict[str, str | Strategy] = {
        "DDP": "ddp",
        "FSDP2": ModelParallelStrategy(
            data_parallel_size=1, tensor_parallel_size=1, save_distributed_checkpoint=False
        ),
    }
    for name, strategy in strategies.items():
        yield from attempted(name, partial(_compare_strategy, scale, name, strategy, plain))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _compare_strategy(
    scale: Scale, name: str, strategy: str | Strategy, plain: dict[str, Tensor]
) -> Iterator[Figure]:
    found = _train_by(scale, strategy)
    masks = [key for key in plain if key.startswith("mask of ")]
    different = sum(int((found[key] != plain[key]).sum()) for key in masks)
    yield Figure(f"{name}: entries of masks unlike a plain run's", different, passed=different == 0)
    furthest = max(
        float((found[key] - plain[key]).abs().max() / plain[key].abs().max().clamp(min=1e-12))
        for key in plain
        if key not in masks
    )
    backend = torch.distributed.get_backend()
    yield Figure(
        f"{name}: largest difference of a weight, relative",
        furthest,
        passed=furthest <= NEARLY,
        note=f"one rank over {backend}",
    )


def _train_by(scale: Scale, strategy: str | Strategy) -> dict[str, Tensor]:
    seed_everything(42, verbose=False)
    model = classifier(scale)
    pruning = pruning_in_every_epoch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(scale, folder, [pruning], max_epochs=3, strategy=strategy)
        trainer.fit(model, loader(scale))
    weights = {name: whole(value.detach()).cpu() for name, value in model.named_parameters()}
    return weights | {f"mask of {mask.name}": mask.keep.cpu() for mask in pruning.masks}
