"""What all scans share: devices, weights, validation images, settings, and where results go."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lightning import Fabric, Trainer
from matplotlib.figure import Figure

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.evaluation.fingerprint import fingerprint
from vitprune.evaluation.images import ValidationImages
from vitprune.evaluation.journal import Journal
from vitprune.evaluation.measure import measure
from vitprune.evaluation.measurement import Measurement, Outcome
from vitprune.evaluation.results_folder import find_folder, publish
from vitprune.evaluation.settings import Settings
from vitprune.model import ViTClassifier
from vitprune.model.sameness import check_same_model
from vitprune.pruning import IterativePruning, Method, OneShot
from vitprune.pruning.masks.packing import apply_packed
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.training.evaluate import batch_limit
from vitprune.training.probe import silenced
from vitprune.training.pruning.settings import PruningSettings


@dataclass(frozen=True)
class ScanOptions:
    """Options that all scans have.

    Attributes:
        output: Folder of the results; None chooses one, see `find_folder`.
        ckpt_path: Training checkpoint whose weights replace the pretrained ones; None keeps those.
        images_in_memory: Number of images kept in memory at a time.

    """

    output: str | None = None
    ckpt_path: str | None = None
    images_in_memory: int = 256


class Scan:
    """Measurements of one model that share a folder, where an interrupted scan is resumed.

    Args:
        trainer: Its devices, precision and `limit_val_batches` are used.
        subcommand: Name of the subcommand, and of the folder of its results.
        model: The model; it gets the weights of `options.ckpt_path`.
        data: Its validation images are used.
        settings: What is measured, as plain values.
        options: Options that all scans have.

    """

    def __init__(
        self,
        trainer: Trainer,
        subcommand: str,
        model: ViTClassifier,
        data: ImageData,
        settings: Settings,
        options: ScanOptions,
    ) -> None:
        if model.token_merging:
            raise UsageError(
                f"{subcommand} cannot merge tokens: it computes blocks from recorded inputs. Set "
                "model.token_merging to 0."
            )
        self.fabric = launch(trainer)
        if options.ckpt_path:
            load_weights(model, options.ckpt_path)
        # a path is not enough to know the weights: a resumed run writes its checkpoints again
        weights = fingerprint(model.net)
        self.model = model
        self.net = self.fabric.to_device(model.net)
        self.subcommand = subcommand
        limit = batch_limit(trainer.limit_val_batches, len(data.whole_validation()))
        self.images = ValidationImages(data, self.fabric.device, options.images_in_memory, limit)
        self.settings: Settings = {
            "subcommand": subcommand,
            "model": model.pretrained,
            "ckpt_path": options.ckpt_path,
            "weights": weights,
            **settings,
            "data": _describe_images(self.images),
            "precision": str(trainer.precision),
        }
        root = Path(trainer.default_root_dir)
        folder = find_folder(subcommand, root, options.output, options.ckpt_path, self.settings)
        self.folder = Path(self.fabric.broadcast(str(folder)))
        self.journal = Journal(self.folder, self.fabric.global_rank)
        self.journal.open(self.settings)
        self._show_progress = trainer.progress_bar_callback is not None

    def measure(self, measurements: Sequence[Measurement]) -> dict[str, Outcome]:
        """Return the outcome of every measurement, and of the dense model, by key.

        Measurements that the journal holds are not repeated.
        """
        with silenced(self.model):
            outcomes = measure(
                self.net,
                measurements,
                self.images,
                self.journal,
                self.fabric,
                show_progress=self._show_progress,
            )
        self.images.data.bad_images.report()
        return outcomes

    def publish(self, figures: Mapping[str, Figure]) -> None:
        """Add figures to TensorBoard, and print where the results are."""
        publish(self.folder, self.subcommand, figures)


def _describe_images(images: ValidationImages) -> Settings:
    """Return what decides which pixels the model sees, and in which chunks."""
    data = images.data
    return {
        **asdict(data.labelled),
        "batch_size": data.batch_size,
        "processor": json.loads(data.image_processor.to_json_string()),
        "batches": images.batches,
        "batches_in_memory": images.batches_per_chunk,
    }


def describe_calibration(pruning: PruningSettings, methods: Iterable[Method]) -> Settings:
    """Return the number of calibration images as a setting, if a method needs any."""
    if any(method.criterion.calibrated for method in methods):
        return {"calibration_images": pruning.calibration_images}
    return {}


def launch(trainer: Trainer) -> Fabric:
    """Start the processes of a trainer; return a Fabric on its devices."""
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
    """Load the weights of a training checkpoint into a model, with pruned weights zero."""
    checkpoint = TrainingCheckpoint.read(ckpt_path)
    check_same_model(model.state_dict(), checkpoint.weights)
    model.load_state_dict(checkpoint.weights)
    apply_packed(model, checkpoint.masks)


def pruning_of(trainer: Trainer) -> PruningSettings:
    """Return the settings of the pruning callback; the defaults without one.

    Scans do not use the schedule.
    """
    callbacks = [c for c in trainer.callbacks if isinstance(c, IterativePruning)]
    return (callbacks or [IterativePruning(OneShot(0.5))])[0].settings
