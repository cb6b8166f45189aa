"""Remove the masks, drop what can be dropped, prove that the logits stayed, and save a folder that stands on its own."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from vitprune.data import ImageData
from vitprune.export.card import model_card
from vitprune.export.exported import Exported
from vitprune.export.flops import count_flops
from vitprune.export.folder import check_target, written_at_once
from vitprune.export.formats import DTYPES, FORMATS
from vitprune.export.load import WEIGHTS
from vitprune.export.report import describe_environment, describe_run
from vitprune.export.shrink import shrink
from vitprune.export.shrinkage import shrink_as_asked
from vitprune.export.verify import TOLERANCE, Verification, logits, verify
from vitprune.figures.run import draw
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.loading import net_from_config
from vitprune.pruning import masks
from vitprune.pruning.sparsity import measure
from vitprune.runs.commands import command_of
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder
from vitprune.training.evaluate import score

NET_PREFIX = "net."
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Choices:
    """What a user can choose about an export.

    Attributes:
        formats: Names in `FORMATS`, beside what plain `transformers` loads.
        shrink: `auto` drops what can be dropped exactly, `required` refuses to leave structure
            behind, `off` drops nothing.
        dtype: Of the stored weights: float32, float16 or bfloat16.

    """

    formats: Sequence[str] = ()
    shrink: str = "auto"
    dtype: str = "float32"


def export_checkpoint(
    checkpoint: dict[str, Any],
    config: PreTrainedConfig,
    data: ImageData,
    folder: Path,
    device: torch.device,
    run_folder: Path | None = None,
    validation_batches: int | None = None,
    seed: int | None = None,
    is_best: bool = False,
    choices: Choices = Choices(),
) -> dict[str, Any]:
    """Export the model of a training checkpoint.

    Args:
        checkpoint: As `torch.load` gives it.
        config: Configuration of the Hugging Face model.
        data: Scores the result on its validation split; gives the image processor.
        folder: Where to write `config.json`, `model.safetensors`, `preprocessor_config.json`,
            `README.md`, `report.json`, `plots/` and what the formats add. It appears whole or not
            at all; an older one is replaced.
        device: Where the result is scored.
        run_folder: Folder with `metrics.csv`, for the plots.
        validation_batches: Score on so many batches only, as the run did; None for all.
        seed: Seed of the run.
        is_best: Whether it is the run's checkpoint of the highest validation accuracy at the final
            sparsity.
        choices: Formats, shrinking and the type of the weights.

    Returns:
        What is in `report.json`.

    Raises:
        UsageError: If the folder holds something that is not an export, the checkpoint is of
            another model, or a choice does not fit the model.
        RuntimeError: If the folder does not give the same logits or has another number of zeros
            than the masked model.

    """
    folder = check_target(folder)
    net = load_masked(checkpoint, config)
    sparsity = measure(net, [layer for layer in find_layers(net) if masks.is_masked(layer.module)])
    images = next(data.validation_batches(CPU))["pixel_values"]
    base_flops = count_flops(net, data.image_shape)
    with written_at_once(folder) as scratch:
        written = write_weights(net, sparsity.zeros, scratch, images, choices)
        data.image_processor.save_pretrained(scratch)
        formats = {name: FORMATS[name](written.exported) for name in choices.formats}
        report = {
            **describe_run(checkpoint, sparsity.parameters),
            "is_best": is_best,
            "sparsity": {
                "prunable": sparsity.prunable,
                "total": sparsity.total,
                "layers": sparsity.layers,
            },
            "shrunk": written.shrunk,
            "formats": formats,
            "verification": vars(written.verification),
            "environment": describe_environment(command_of(checkpoint), seed, device),
        }
        report["base"] |= {
            "parameters": sparsity.parameters,
            "flops": base_flops,
            "bytes": written.base_bytes,
        }
        final = measure(written.loaded)
        report["pruned"] = {
            **score(written.loaded, data, validation_batches, device),
            "parameters": final.parameters,
            "nonzero_parameters": final.parameters - final.zeros,
            "flops": count_flops(written.loaded, data.image_shape),
            "bytes": size_of(scratch),
        }
        typed = TypeAdapter(RunReport).validate_python(report)
        plots = draw(typed, scratch / "plots", RunFolder(run_folder) if run_folder else None)
        (scratch / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        base_name = checkpoint.get("hyper_parameters", {}).get("pretrained")
        (scratch / "README.md").write_text(model_card(report, base_name, plots))
    return report


@dataclass(frozen=True)
class Written:
    """What `write_weights` did.

    Attributes:
        exported: For the other formats.
        loaded: The folder, loaded by plain `transformers`, in float32.
        verification: How it compares with the masked model.
        shrunk: What was dropped and what stayed.
        base_bytes: Bytes of the same weights in float32 with nothing dropped.

    """

    exported: Exported
    loaded: PreTrainedModel
    verification: Verification
    shrunk: dict[str, Any]
    base_bytes: int


def write_weights(
    net: PreTrainedModel, zeros: int, folder: Path, images: Tensor, choices: Choices
) -> Written:
    """Remove the masks and save what is left: first as it is, bit for bit, then as small as asked
    for.

    Args:
        net: The masked model; its masks are removed.
        zeros: The number of zeros in it.
        folder: Where to write.
        images: To compare on, (B, channels, height, width).
        choices: Shrinking and type of the weights.

    Raises:
        UsageError: If it cannot be shrunk as asked.
        RuntimeError: If the logits or the zeros are not those of the masked model.

    """
    before = logits(net, images)
    masks.remove(net)
    loaded, verification = save_and_verify(net, folder, images, before, tolerance=0.0)
    if verification.zeros_in_file != zeros:
        raise RuntimeError(
            f"{verification.zeros_in_file} zeros in the file instead of {zeros}. Nothing was "
            "exported."
        )
    base_bytes = size_of(folder)
    small, shrunk = shrink_as_asked(net, choices.shrink, images)
    if small is not net:
        loaded, verification = save_and_verify(small, folder, images, before, TOLERANCE)
    smallest = shrink(small, ragged=True) if "after" in shrunk else small
    if choices.dtype != "float32":
        smallest.to(DTYPES[choices.dtype])
        loaded, verification = save_and_verify(
            small.to(DTYPES[choices.dtype]), folder, images, before, math.inf
        )
    return Written(
        Exported(small, smallest, images, before, folder), loaded, verification, shrunk, base_bytes
    )


def load_masked(checkpoint: dict[str, Any], config: PreTrainedConfig) -> PreTrainedModel:
    """Build the inner model of a checkpoint afresh, with its masks, in evaluation mode.

    Raises:
        UsageError: If the checkpoint is of another model.

    """
    state = {
        k.removeprefix(NET_PREFIX): v
        for k, v in checkpoint["state_dict"].items()
        if k.startswith(NET_PREFIX)
    }
    net = net_from_config(config)
    masks.load_state_dict(net, state)
    return net.eval()


def save_and_verify(
    net: PreTrainedModel, folder: Path, images: Tensor, before: Tensor, tolerance: float
) -> tuple[PreTrainedModel, Verification]:
    """Save a model, load it with plain `transformers`, and compare; see `verify`. Computes in float32 whatever is stored."""
    net.save_pretrained(folder)
    loaded = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32)
    return loaded, verify(before, loaded, images, folder / WEIGHTS, tolerance)


def size_of(folder: Path) -> int:
    """Return the bytes of the weights in a folder."""
    return (folder / WEIGHTS).stat().st_size
