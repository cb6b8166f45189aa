"""Remove the masks, prove that nothing changed, and save a folder that has nothing to do with this program any more."""

import itertools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from vitprune.analysis.plots import plot_density, plot_training
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.export.report import command_line, count_flops, describe_environment, model_card
from vitprune.model.classifier import net_from_config
from vitprune.model.layers import find_layers
from vitprune.pruning import IterativePruning, masks
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.training.metrics_csv import read_metrics

NET_PREFIX = "net."


@dataclass(frozen=True)
class Verification:
    """The proof that an exported folder is the masked model.

    Attributes:
        largest_logit_difference: Between the masked model and the folder loaded by plain `transformers`; must be 0.
        zeros_in_file: Exact zeros in `model.safetensors`; must be those of the masked model.
        images: Number of validation images compared.

    """

    largest_logit_difference: float
    zeros_in_file: int
    images: int


def export_checkpoint(
    checkpoint: dict[str, Any],
    config: PreTrainedConfig,
    data: ImageData,
    folder: Path,
    pruning: IterativePruning | None = None,
    run_folder: Path | None = None,
    validation_batches: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Export the model of a training checkpoint.

    Args:
        checkpoint: As `torch.load` gives it.
        config: Configuration of the Hugging Face model.
        data: Scores the result on its validation split; gives the image processor.
        folder: Where to write `config.json`, `model.safetensors`, `preprocessor_config.json`, `README.md`, `report.json` and
            `plots/`. It appears whole or not at all; an older one is replaced.
        pruning: The callback of the run, for the schedule.
        run_folder: Folder with `metrics.csv`, for the plots.
        validation_batches: Score on so many batches only, as the run did; None for all.
        seed: Seed of the run.

    Returns:
        What is in `report.json`.

    Raises:
        UsageError: If the folder holds something that is not an export.
        RuntimeError: If the folder does not give the same logits or has another number of zeros than the masked model.

    """
    folder = check_target(folder)
    net = load_masked(checkpoint, config)
    masked_layers = [layer for layer in find_layers(net) if masks.is_masked(layer.module)]
    sparsity = measure(net, masked_layers)
    sample = data.prepare(next(iter(data.whole_validation())), torch.device("cpu"))["pixel_values"]
    before = logits(net, sample)
    masks.remove(net)
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    net.save_pretrained(scratch)
    data.image_processor.save_pretrained(scratch)
    loaded = AutoModelForImageClassification.from_pretrained(scratch)
    verification = verify(before, loaded, sample, scratch / "model.safetensors", sparsity)

    state = checkpoint.get("callbacks", {}).get(IterativePruning.__name__, {"rounds": [], "dense": {}, "dense_zeros": None})
    scores = score(loaded, data, validation_batches)
    size = (scratch / "model.safetensors").stat().st_size
    common = {"parameters": sparsity.parameters, "flops": count_flops(loaded, data.image_shape)}
    report = {
        "finished": pruning is None or state["finished"],
        "base": {
            "accuracy": state["dense"].get("val/accuracy"),
            "loss": state["dense"].get("val/loss"),
            **common,
            "nonzero_parameters": None if state["dense_zeros"] is None else sparsity.parameters - state["dense_zeros"],
            "bytes": size,
        },
        "pruned": {**scores, **common, "nonzero_parameters": sparsity.parameters - sparsity.zeros, "bytes": size},
        "sparsity": {"prunable": sparsity.prunable, "total": sparsity.total, "layers": sparsity.layers},
        "rounds": [_round(values) for values in state["rounds"]],
        "verification": vars(verification),
        "environment": describe_environment(command_line(), seed),
    }
    plots = draw(report, scratch / "plots", run_folder)
    (scratch / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    base_name = checkpoint.get("hyper_parameters", {}).get("pretrained")
    (scratch / "README.md").write_text(model_card(report, base_name, plots))
    replace_folder(folder, scratch)
    return report


def check_target(folder: Path) -> Path:
    """Return the absolute path of a folder that may be written: new, empty, or an export that may be replaced.

    Raises:
        UsageError: If it holds anything else.

    """
    folder = folder.expanduser().resolve()
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "report.json").is_file())):
        raise UsageError(f"{folder} holds something that is not an export; give a new or an empty folder.")
    return folder


def replace_folder(folder: Path, new: Path) -> None:
    """Put a finished folder where an older one may be; the older one goes only when the new one is there."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_masked(checkpoint: dict[str, Any], config: PreTrainedConfig) -> PreTrainedModel:
    """Build the inner model of a checkpoint afresh, with its masks, in evaluation mode."""
    state = {k.removeprefix(NET_PREFIX): v for k, v in checkpoint["state_dict"].items() if k.startswith(NET_PREFIX)}
    net = net_from_config(config)
    masks.attach_like(net, state)
    net.load_state_dict(state)
    return net.eval()


def verify(before: Tensor, loaded: PreTrainedModel, sample: Tensor, file: Path, sparsity: Sparsity) -> Verification:
    """Compare logits and zeros; see `Verification`."""
    for parameter in loaded.parameters():  # a mapped file is not aligned like fresh memory, which moves the last bit
        parameter.data = parameter.data.clone()
    difference = float((logits(loaded, sample) - before).abs().max())
    with safe_open(file, framework="pt") as tensors:
        zeros = sum(int((tensors.get_tensor(name) == 0).sum()) for name in tensors.keys())  # noqa: SIM118
    if difference != 0 or zeros != sparsity.zeros:
        raise RuntimeError(
            f"the exported model differs from the masked one: logits by {difference}, zeros {zeros} instead of "
            f"{sparsity.zeros}. Nothing was exported."
        )
    return Verification(difference, zeros, len(sample))


@torch.no_grad()
def logits(net: PreTrainedModel, images: Tensor) -> Tensor:
    """Return the logits, (B, classes)."""
    return net(pixel_values=images).logits


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


def draw(report: dict[str, Any], folder: Path, run_folder: Path | None) -> list[str]:
    """Save the figures of a report; return their paths relative to the export."""
    folder.mkdir()
    figures = {}
    if run_folder and (training := plot_run(run_folder, report["base"]["accuracy"])):
        figures["training"] = training
    if report["sparsity"]["layers"]:
        figures["density"] = plot_density(report["sparsity"]["layers"])
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return [f"plots/{name}.png" for name in figures]


def plot_run(run_folder: Path, dense: float | None) -> Figure | None:
    """Draw accuracy and sparsity over the epochs of a run from its `metrics.csv`; None if that has no epochs yet."""
    curves = read_metrics(run_folder)
    if "epoch" not in curves:
        return None
    steps_per_epoch = (max(curves["epoch"]) + 1) / (max(curves["epoch"].values()) + 1)
    return plot_training(
        {step + 1: value for step, value in curves.get("val/accuracy", {}).items()},
        curves.get("sparsity/prunable", {}),
        curves.get("round/after_pruning", {}),
        steps_per_epoch,
        dense,
    )


def _round(values: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: values[key] for key in ("round", "epoch", "step", "target", "sparsity")},
        "accuracy_pruned": values["pruned"],
        "accuracy_finetuned": values["finetuned"],
    }
