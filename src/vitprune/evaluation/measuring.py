"""Where and on how many processes a model is measured, and where the results go."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Fabric, Trainer
from matplotlib.figure import Figure
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from vitprune.data import ImageData
from vitprune.evaluation.journal import Journal, read_settings
from vitprune.evaluation.measure import Measurement, Score, ValidationBatches, measure
from vitprune.model import ViTClassifier
from vitprune.pruning import masks
from vitprune.runs.checkpoint_files import read_checkpoint
from vitprune.runs.folder import LOGS, run_of
from vitprune.training.probe import silenced


class Measuring:
    """Measurements of one model that share a folder, which an interrupted one finds again.

    Args:
        trainer: Says which devices, precision and batches.
        verb: What measures: the folder of its results is called so, and `<verb>.json` in it is
            written last.
        model: The model.
        data: Has the validation images.
        settings: What is measured, as plain values.
        images_in_memory: Images that are kept in memory at a time.
        output: Folder of the results; by default `<verb>` in the folder of the checkpoint's run, or
            in that of an unfinished one with the same settings, or in a new one.
        ckpt_path: A training checkpoint whose weights are measured.

    """

    def __init__(
        self,
        trainer: Trainer,
        verb: str,
        model: ViTClassifier,
        data: ImageData,
        settings: dict[str, Any],
        images_in_memory: int,
        output: str | None,
        ckpt_path: str | None,
    ) -> None:
        self.fabric = launch(trainer)
        if ckpt_path:
            load_weights(model, ckpt_path)
        weights = fingerprint(
            model.net
        )  # a path says nothing: a run that goes on writes its checkpoints anew
        self.model, self.net = model, self.fabric.to_device(model.net)
        limit = batch_limit(trainer.limit_val_batches, len(data.whole_validation()))
        self.batches = ValidationBatches(data, self.fabric.device, images_in_memory, limit)
        images = {**asdict(data.labelled), "batch_size": data.batch_size}
        images["processor"] = json.loads(data.image_processor.to_json_string())
        precision, chunk = str(trainer.precision), self.batches.size
        self.settings = {
            **{
                "verb": verb,
                "model": model.hparams["pretrained"],
                "ckpt_path": ckpt_path,
                "weights": weights,
                **settings,
            },
            **{
                "data": {**images, "batches": self.batches.count, "batches_in_memory": chunk},
                "precision": precision,
            },
        }
        root = Path(trainer.default_root_dir)
        self.folder = Path(
            self.fabric.broadcast(str(find_folder(verb, self.settings, root, output, ckpt_path)))
        )
        self.journal = Journal(self.folder, self.fabric.global_rank)
        self.journal.open(self.settings)
        self._show_progress = trainer.progress_bar_callback is not None

    def measure(self, measurements: Sequence[Measurement]) -> dict[str, Score]:
        """Return the score of every measurement, and of the dense model; only what was not done before is done."""
        with silenced(self.model):
            scores = measure(
                self.net, measurements, self.batches, self.journal, self.fabric, self._show_progress
            )
        self.batches.data.bad_images.report()
        return scores

    def show(self, figures: Mapping[str, Figure]) -> None:
        """Put figures into TensorBoard, and say where everything is."""
        show(self.folder, self.settings["verb"], figures)


def show(folder: Path, verb: str, figures: Mapping[str, Figure]) -> None:
    """Put figures into TensorBoard, and say where everything is."""
    with SummaryWriter(str(folder)) as writer:
        for name, figure in figures.items():
            writer.add_figure(f"{verb}/{name}", figure)
    print(f"results are in {folder}")


def launch(trainer: Trainer) -> Fabric:
    """Return a Fabric on the devices of a trainer, its processes started."""
    device = trainer.strategy.root_device.type
    fabric = Fabric(
        accelerator=device,
        devices=trainer.num_devices if device == "cpu" else trainer.device_ids,
        num_nodes=trainer.num_nodes,
        strategy="ddp" if trainer.world_size > 1 else "auto",
        precision=trainer.precision,
    )
    fabric.launch()
    return fabric


def load_weights(model: ViTClassifier, ckpt_path: str) -> None:
    """Give a model the weights and masks of a training checkpoint."""
    masks.load_state_dict(model, read_checkpoint(ckpt_path)["state_dict"])


def fingerprint(model: nn.Module) -> str:
    """Return a short hash of the weights and masks of a model."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().flatten().view(torch.uint8).numpy())  # numpy has no bfloat16
    return digest.hexdigest()


def find_folder(
    verb: str, settings: dict[str, Any], root: Path, output: str | None, ckpt_path: str | None
) -> Path:
    """Return the folder of the results; see `Measuring`."""
    if output:
        return Path(output)
    run = run_of(Path(ckpt_path)) if ckpt_path else None
    if run:
        return run / verb
    logs = root / LOGS
    versions = {
        int(path.name[8:]): path / verb
        for path in logs.glob("version_*")
        if path.name[8:].isdigit()
    }
    for version in sorted(versions, reverse=True):
        folder = versions[version]
        if read_settings(folder) == settings and not (folder / f"{verb}.json").exists():
            print(f"going on in {folder}")
            return folder
    return logs / f"version_{max(versions, default=-1) + 1}" / verb


def batch_limit(limit: float, count: int) -> int | None:
    """Translate `limit_val_batches` (a number, or a fraction if it is a float); None for all, also where it is 0."""
    return (limit if isinstance(limit, int) else int(limit * count)) or None
