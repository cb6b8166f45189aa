"""Lightning's Trainer with the further subcommands of the command line."""

from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer

from vitprune.data import ImageData
from vitprune.evaluation import histograms, sensitivity, sweep
from vitprune.evaluation.grouping import By
from vitprune.evaluation.scan import ScanOptions
from vitprune.exports import run as export_run
from vitprune.exports.choices import Choices, DType, Precision, ShrinkMode
from vitprune.exports.formats.available import parse_formats
from vitprune.exports.formats.format import Runtime
from vitprune.exports.hub import check_token, push
from vitprune.exports.prediction import with_runtime
from vitprune.model import ViTClassifier
from vitprune.pruning import Method
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder

SCANS = ("sensitivity", "sweep", "histograms")
CLASSIFIER = ["*classifier"]
TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


class PruningTrainer(Trainer):
    """Lightning's Trainer; each further subcommand is a method, whose arguments are its options.

    Attributes:
        run_folder: Folder of the run that trains; None for other subcommands and dry runs.

    """

    run_folder: RunFolder | None = None

    @property
    def log_dir(self) -> str | None:
        """The folder of the run, whatever its loggers are; all processes must ask for it."""
        if self.run_folder is None:
            return super().log_dir
        return str(self.strategy.broadcast(str(self.run_folder.path)))

    def sensitivity(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        by: By = "layer",
        sparsities: list[float] = TENTHS,
        images_in_memory: int = 256,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Prune one layer, block or role at a time without fine-tuning, and evaluate the model.

        Uses criterion, granularity, layers, calibration_images and seed of `pruning`. Rerun the
        same command to resume an interrupted scan.

        Args:
            model: The model.
            datamodule: Validation images; `data.max_images` selects a fixed part of them.
            by: Part of the model that is pruned at a time: `layer`, `block` or `role`.
            sparsities: Target sparsities of that part, each in (0, 1).
            images_in_memory: Number of images whose hidden states are kept at a time.
            output: Folder of the results; by default `sensitivity` in the run of the checkpoint, or
                in a new run.
            ckpt_path: Training checkpoint whose weights are used instead of the pretrained ones.

        """
        options = ScanOptions(output, ckpt_path, images_in_memory)
        sensitivity.run(self, model, datamodule, by, sparsities, options)

    def sweep(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        methods: dict[str, Method] | list[str] | None = None,
        sparsities: list[float] = TENTHS,
        seeds: int = 3,
        images_in_memory: int = 1024,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Prune the whole model by several methods without fine-tuning, and evaluate it.

        Uses layers, calibration_images and seed of `pruning`. Rerun the command to resume a sweep.

        Args:
            model: The model.
            datamodule: Validation images; `data.max_images` selects a fixed part of them.
            methods: Methods to compare: a list of random_unstructured, l1_unstructured,
                random_structured and l1_structured (default: all four), or a mapping of names of
                your own to {criterion, granularity, allocation}.
            sparsities: Target sparsities of the prunable weights, each in (0, 1).
            seeds: Number of seeds of each random method.
            images_in_memory: Number of images kept in memory at a time.
            output: Folder of the results; by default `sweep` in the run of the checkpoint, or in a
                new run.
            ckpt_path: Training checkpoint whose weights are used instead of the pretrained ones.

        """
        options = ScanOptions(output, ckpt_path, images_in_memory)
        sweep.run(self, model, datamodule, methods, sparsities, seeds, options)

    def histograms(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        names: list[str] = CLASSIFIER,
        sparsity: float = 0.5,
        methods: dict[str, Method] | list[str] | None = None,
        finetuned: str | None = None,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Plot histograms of weights before pruning, after each method, and after fine-tuning.

        Uses calibration_images and seed of `pruning`.

        Args:
            model: The model.
            datamodule: Classes, and calibration images for criteria that need them.
            names: Names of the layers to prune and plot, a figure for each; `*` matches anything.
            sparsity: Target sparsity of these layers, in (0, 1).
            methods: Methods to compare: a list of random_unstructured, l1_unstructured,
                random_structured and l1_structured (default: all four), or a mapping of names of
                your own to {criterion, granularity, allocation}.
            finetuned: Folder of the same model after pruning and fine-tuning, for example the
                export of a run.
            output: Folder of the results; by default `histograms` in the run of the checkpoint, or
                in a new run.
            ckpt_path: Training checkpoint whose weights are used instead of the pretrained ones.

        """
        options = ScanOptions(output, ckpt_path)
        histograms.run(self, model, datamodule, names, sparsity, methods, finetuned, options)

    def predict(  # those of Lightning, and one more
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,  # noqa: FBT001
        ckpt_path: str | None = None,
        weights_only: bool | None = None,  # noqa: FBT001
        runtime: Runtime = "torch",
    ) -> Any:
        """Classify images; the result is a CSV file or JSON lines.

        Args:
            model: The model.
            dataloaders: Images, instead of those of the data module.
            datamodule: Images, in `data.predict_images`.
            return_predictions: Whether to return the predictions.
            ckpt_path: Checkpoint whose weights are used.
            weights_only: Whether to refuse checkpoints that hold code.
            runtime: Runtime that classifies: torch, onnx or openvino. For onnx and openvino, the
                export in `model.pretrained` must contain that format; its int8 model is used if
                there is one.

        """
        if isinstance(model, ViTClassifier):
            model = with_runtime(model, runtime, ckpt_path)
        return super().predict(
            model, dataloaders, datamodule, return_predictions, ckpt_path, weights_only
        )

    def export(  # noqa: PLR0913  # each is an option
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        ckpt_path: str,
        output: str | None = None,
        formats: str = "hf",
        shrink: ShrinkMode = "auto",
        dtype: Precision = "float32",
        max_drop: float = 0.01,
        push_to_hub: str | None = None,
    ) -> RunReport:
        """Export the model of a checkpoint to a folder that plain `transformers` loads.

        Args:
            model: Provides the configuration of the transformer.
            datamodule: Provides validation images and the image processor.
            ckpt_path: Training checkpoint, or the folder of a run.
            output: Folder of the export; by default `export` in the folder of the run.
            formats: Further formats, separated by commas: pt2, onnx, openvino, compressed,
                semi_structured. hf is always written.
            shrink: auto physically removes pruned structure where the logits stay the same;
                required raises an error if pruned structure stays as zeros; off removes nothing.
            dtype: Data type of the stored weights. int8 stores them in float32, and quantizes the
                onnx and openvino models that are in `formats`, if that is faster on this machine.
            push_to_hub: Name of a new model on the hub, to which the export is pushed.
            max_drop: Largest accepted drop of validation accuracy in int8, in [0, 1].

        """
        stored: DType = "float32" if dtype == "int8" else dtype
        choices = Choices(
            parse_formats(formats, dtype), shrink, stored, max_drop, model.token_merging
        )
        if push_to_hub is not None:
            check_token()
        report = export_run.run(self, model, datamodule, ckpt_path, output, choices)
        if push_to_hub is not None:
            folder = export_run.folder_of(TrainingCheckpoint.read(ckpt_path), output)
            print(f"Pushed {folder} to {push(folder, push_to_hub)}")
        return report
