"""Remove the masks, drop what can be dropped, prove that the logits stayed, and save a folder that stands on its own."""

import itertools
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from vitprune.data import ImageData
from vitprune.export.card import model_card
from vitprune.export.exported import Exported
from vitprune.export.figures import draw
from vitprune.export.folder import check_target, replace_folder
from vitprune.export.formats import DTYPES, FORMATS
from vitprune.export.report import command_line, count_flops, describe_environment, describe_round
from vitprune.export.shrink import shrink
from vitprune.export.shrinkage import shrink_as_asked
from vitprune.export.verify import TOLERANCE, Verification, logits, verify
from vitprune.model.classifier import net_from_config
from vitprune.model.layers import find_layers
from vitprune.pruning import IterativePruning, masks
from vitprune.pruning.sparsity import measure

NET_PREFIX = "net."
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Choices:
    """What a user can choose about an export.

    Attributes:
        formats: Names in `FORMATS`, beside what plain `transformers` loads.
        shrink: `auto` drops what can be dropped exactly, `required` refuses to leave structure behind, `off` drops nothing.
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
    pruning: IterativePruning | None = None,
    run_folder: Path | None = None,
    validation_batches: int | None = None,
    seed: int | None = None,
    choices: Choices = Choices(),
) -> dict[str, Any]:
    """Export the model of a training checkpoint.

    Args:
        checkpoint: As `torch.load` gives it.
        config: Configuration of the Hugging Face model.
        data: Scores the result on its validation split; gives the image processor.
        folder: Where to write `config.json`, `model.safetensors`, `preprocessor_config.json`, `README.md`, `report.json`,
            `plots/` and what the formats add. It appears whole or not at all; an older one is replaced.
        pruning: The callback of the run, for the schedule.
        run_folder: Folder with `metrics.csv`, for the plots.
        validation_batches: Score on so many batches only, as the run did; None for all.
        seed: Seed of the run.
        choices: Formats, shrinking and the type of the weights.

    Returns:
        What is in `report.json`.

    Raises:
        UsageError: If the folder holds something that is not an export, or a choice does not fit the model.
        RuntimeError: If the folder does not give the same logits or has another number of zeros than the masked model.

    """
    folder = check_target(folder)
    net = load_masked(checkpoint, config)
    sparsity = measure(net, [layer for layer in find_layers(net) if masks.is_masked(layer.module)])
    images = data.prepare(next(iter(data.whole_validation())), torch.device("cpu"))["pixel_values"]
    before = logits(net, images)
    masks.remove(net)
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    loaded, verification = save_and_verify(net, scratch, images, before, tolerance=0.0)
    if verification.zeros_in_file != sparsity.zeros:
        raise RuntimeError(f"{verification.zeros_in_file} zeros in the file instead of {sparsity.zeros}. Nothing was exported.")
    base = {"parameters": sparsity.parameters, "flops": count_flops(net, data.image_shape), "bytes": size_of(scratch)}
    small, shrunk = shrink_as_asked(net, choices.shrink, images)
    if small is not net:
        loaded, verification = save_and_verify(small, scratch, images, before, TOLERANCE)
    if choices.dtype != "float32":
        loaded, verification = save_and_verify(small.to(DTYPES[choices.dtype]), scratch, images, before, math.inf)
    data.image_processor.save_pretrained(scratch)
    exported = Exported(small, shrink(small, ragged=True) if "after" in shrunk else small, images, before, scratch)
    formats = {name: FORMATS[name](exported) for name in choices.formats}

    state = checkpoint.get("callbacks", {}).get(IterativePruning.__name__, {"rounds": [], "dense": {}, "dense_zeros": None})
    final = measure(loaded)
    report = {
        "finished": pruning is None or state["finished"],
        "base": {
            "accuracy": state["dense"].get("val/accuracy"),
            "loss": state["dense"].get("val/loss"),
            **base,
            "nonzero_parameters": None if state["dense_zeros"] is None else sparsity.parameters - state["dense_zeros"],
        },
        "pruned": {
            **score(loaded, data, validation_batches),
            "parameters": final.parameters,
            "flops": count_flops(loaded, data.image_shape),
            "bytes": size_of(scratch),
            "nonzero_parameters": final.parameters - final.zeros,
        },
        "sparsity": {"prunable": sparsity.prunable, "total": sparsity.total, "layers": sparsity.layers},
        "shrunk": shrunk,
        "formats": formats,
        "rounds": [describe_round(values) for values in state["rounds"]],
        "verification": vars(verification),
        "environment": describe_environment(command_line(), seed),
    }
    plots = draw(report, scratch / "plots", run_folder)
    (scratch / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    base_name = checkpoint.get("hyper_parameters", {}).get("pretrained")
    (scratch / "README.md").write_text(model_card(report, base_name, plots))
    replace_folder(folder, scratch)
    return report


def load_masked(checkpoint: dict[str, Any], config: PreTrainedConfig) -> PreTrainedModel:
    """Build the inner model of a checkpoint afresh, with its masks, in evaluation mode."""
    state = {k.removeprefix(NET_PREFIX): v for k, v in checkpoint["state_dict"].items() if k.startswith(NET_PREFIX)}
    net = net_from_config(config)
    masks.attach_like(net, state)
    net.load_state_dict(state)
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


@torch.no_grad()
def score(net: PreTrainedModel, data: ImageData, batches: int | None) -> dict[str, float]:
    """Return accuracy and loss on the validation split."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    correct, loss, images = 0, 0.0, 0
    for batch in itertools.islice(data.whole_validation(), batches):
        batch = data.prepare(batch, device)
        scores, labels = logits(net, batch["pixel_values"]), batch["labels"]
        correct += int((scores.argmax(dim=1) == labels).sum())
        loss += float(F.cross_entropy(scores, labels, reduction="sum"))
        images += len(labels)
    net.cpu()
    return {"accuracy": correct / images, "loss": loss / images}
