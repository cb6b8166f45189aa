"""Export the model of a training checkpoint: weights, further formats, numbers, figures, card."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.data import ImageData
from vitprune.exports.card import model_card
from vitprune.exports.choices import DEFAULT, Choices
from vitprune.exports.costs import try_to_count_flops
from vitprune.exports.folder import check_target, writing
from vitprune.exports.formats.available import check_choices, write_formats
from vitprune.exports.image_processor import as_exported, describe_images, save_processor
from vitprune.exports.nets import load_net, pruned_layers
from vitprune.exports.quantization import Quantization
from vitprune.exports.report import (
    describe_dense,
    describe_environment,
    describe_sparsity,
)
from vitprune.exports.statistics import try_to
from vitprune.exports.stored import measure_stored
from vitprune.exports.usage import loading_of
from vitprune.exports.write import write_weights
from vitprune.figures.run import figures_of
from vitprune.figures.saving import save_figure
from vitprune.model.logits import Logits
from vitprune.pruning.sparsity import measure
from vitprune.runs.atomic import write_text
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.commands import command_to_repeat
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder, RunFolder
from vitprune.training.evaluate import Evaluation, evaluate

CPU = torch.device("cpu")


def export_checkpoint(
    checkpoint: TrainingCheckpoint,
    config: PreTrainedConfig,
    data: ImageData,
    folder: str | Path,
    *,
    device: torch.device = CPU,
    validation_batches: int | None = None,
    seed: int | None = None,
    choices: Choices = DEFAULT,
) -> RunReport:
    """Export the model of a training checkpoint.

    Args:
        checkpoint: Checkpoint of a run, pruned or not.
        config: Configuration of the Hugging Face model.
        data: Provides validation images and the image processor.
        folder: Folder for `config.json`, `model.safetensors`, `preprocessor_config.json`,
            `README.md`, `report.json`, `plots/` and the files of further formats. It appears whole
            or not at all; an older export there is replaced.
        device: Device on which the exported model is evaluated.
        validation_batches: Number of validation batches to evaluate on; None for all.
        seed: Seed of the run.
        choices: Formats, shrinking and type of the weights.

    Returns:
        The content of `report.json`.

    Raises:
        UsageError: If the folder holds something that is not an export, the checkpoint is of
            another model, or a choice does not fit the model.
        RuntimeError: If the folder does not reproduce logits and zeros of the pruned model.

    """
    target = check_target(folder)
    check_choices(choices)
    record = checkpoint.record
    net = load_net(checkpoint, config)
    sparsity = measure(net, pruned_layers(net, checkpoint))
    data = as_exported(data, net)
    images = next(data.validation_batches(CPU))["pixel_values"]
    base_flops = try_to_count_flops(net, images.shape[1:])
    describe_images(net, data.image_processor)

    with writing(target) as scratch:
        written = write_weights(net, sparsity.zeros, scratch, images, choices)
        save_processor(data.image_processor, net, scratch)
        costs = measure_stored(written.loaded, scratch, images.shape[1:])
        found = _evaluate(written.loaded, data, validation_batches, device)
        quantization = Quantization(data, validation_batches, found.accuracy, choices.max_drop)
        exported = replace(written.exported, quantization=quantization)
        formats, failed = write_formats(choices, exported)
        pruned = replace(costs, accuracy=found.accuracy, loss=found.loss, images=found.images)
        report = RunReport(
            finished=record.finished,
            is_best=checkpoint.is_best,
            sparsity=describe_sparsity(sparsity),
            base=describe_dense(record, sparsity.parameters, base_flops, written.base_bytes),
            pruned=pruned,
            rounds=record.rounds,
            shrunk=written.shrunk,
            formats=formats,
            failed_formats=failed,
            verification=written.verification,
            environment=describe_environment(command_to_repeat(checkpoint.commands), seed, device),
        )
        report.write(scratch.report)
        plots = try_to("draw figures", lambda: _draw(report, checkpoint.run, scratch))
        try_to(
            "write the model card",
            lambda: write_text(
                scratch.card,
                model_card(
                    report,
                    checkpoint.pretrained,
                    plots or [],
                    loading_of(written.loaded),
                    data.labelled.source,
                ),
            ),
        )
    return report


def _evaluate(
    net: PreTrainedModel, data: ImageData, batches: int | None, device: torch.device
) -> Evaluation:
    """Evaluate a model on the validation images, on this device."""
    found = evaluate(Logits(net).to(device), data.validation_batches(device, batches))
    net.cpu()
    return found


def _draw(report: RunReport, run: RunFolder, folder: ExportFolder) -> list[str]:
    """Save the figures of a report; return their paths relative to the export."""
    folder.plots.mkdir()
    files = {folder.plots / f"{name}.png": plot for name, plot in figures_of(report, run).items()}
    for file, figure in files.items():
        save_figure(figure, file)
    return [str(file.relative_to(folder.path)) for file in files]
