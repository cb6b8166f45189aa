"""Predict by a program of an export instead of its weights."""

from pathlib import Path

from lightning import LightningModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.formats.available import programs_of
from vitprune.exports.formats.format import PACKAGES, Run, Runtime
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.config import image_shape
from vitprune.runs.run_folder import ExportFolder


class ProgramClassifier(LightningModule):
    """A program in place of the model of an export, for `Trainer.predict`.

    Args:
        net: The model, for its configuration.
        run: The program.

    """

    predict_step = ViTClassifier.predict_step

    def __init__(self, net: PreTrainedModel, run: Run) -> None:
        super().__init__()
        self.net = net
        self.run = run

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return logits, (B, classes), for normalised images, (B, channels, height, width)."""
        return self.run(pixel_values.float().cpu())


def with_runtime(model: ViTClassifier, runtime: Runtime, ckpt_path: str | None) -> LightningModule:
    """Return a model, or the program of its export that a runtime runs.

    An int8 program is preferred: it was kept because it is the faster one.

    Args:
        model: Classifier whose `pretrained` is an export.
        runtime: `torch` for the model itself.
        ckpt_path: Checkpoint to predict with.

    Raises:
        UsageError: If there is no such program, or its runtime is not installed.

    """
    if runtime == "torch":
        return model
    if ckpt_path is not None:
        raise UsageError(
            f"--runtime {runtime} runs the program of an export, not a checkpoint. Replace "
            "--ckpt_path by --model.pretrained with the folder of the export."
        )
    folder = ExportFolder(Path(model.pretrained or ""))
    programs = [program for program in programs_of(runtime) if program.is_in(folder)]
    if not programs:
        raise UsageError(
            f"--runtime {runtime}: {str(model.pretrained)!r} has no program for it. Set "
            f"--model.pretrained to an export that was written with --formats {runtime}."
        )
    program = programs[-1]
    if not program.runs_here():
        package = PACKAGES[runtime]
        raise UsageError(f"--runtime {runtime} needs {package}. Run pip install {package}.")
    _check_same(model.net.config, AutoConfig.from_pretrained(folder.path), runtime)
    rank_zero_info(f"Running {program.files(folder)[0]} by {program.title}")
    return ProgramClassifier(model.net, program.load_from(folder))


def _check_same(model: PreTrainedConfig, exported: PreTrainedConfig, runtime: Runtime) -> None:
    """Raise `UsageError` if a model was adapted to other classes or images than its program."""
    if model.id2label != exported.id2label:
        raise UsageError(
            f"--runtime {runtime}: the program predicts the {len(exported.id2label)} classes of "
            "the export in their order, and data.source has others. Leave out data.source."
        )
    if image_shape(model) != image_shape(exported):
        raise UsageError(
            f"--runtime {runtime}: the program takes images of the shape {image_shape(exported)}, "
            f"not {image_shape(model)}. Leave out data.image_size."
        )
