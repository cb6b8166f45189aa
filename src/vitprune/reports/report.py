"""Everything about one run on one page."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForImageClassification, PreTrainedModel

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.evaluation import histograms, sensitivity
from vitprune.figures.heads import head_densities, plot_heads
from vitprune.model.anatomy.layers import ROLES, find_layers
from vitprune.model.loading import build_reference
from vitprune.reports.confusion import Predictions, predict
from vitprune.reports.page import Page
from vitprune.runs.rounds_table import ROUND_HEADER, round_rows

NEEDED = ("config.yaml", "export/report.json", "export/model.safetensors", "export/config.json")
SETTINGS = {
    "model": (
        "pretrained",
        "architecture",
        "learning_rate",
        "weight_decay",
        "layer_decay",
        "label_smoothing",
    ),
    "data": ("source", "subset", "batch_size", "max_images", "image_size"),
    "trainer": (
        "max_epochs",
        "max_steps",
        "precision",
        "gradient_clip_val",
        "accumulate_grad_batches",
    ),
}
MOST_CLASSES = 12
UNREADABLE = "which the run began with: it cannot be read here, or its weights were random."


def write_report(run: Path, target: Path, images: int) -> None:
    """Write the report of a run as one file of HTML, and the numbers of its histograms as CSV
    beside it.

    Args:
        run: Folder of a finished run.
        target: The file.
        images: Classify about so many validation images with the dense and the pruned model; 0
            leaves that out.

    Raises:
        UsageError: If the folder lacks a file; the message names it.

    """
    missing = [name for name in NEEDED if not (run / name).is_file()]
    if missing:
        raise UsageError(
            f"{run} has no {missing[0]}: report takes the folder of a finished run, with "
            f"{', '.join(NEEDED)}."
        )
    config, report = (
        yaml.safe_load((run / "config.yaml").read_text()),
        json.loads((run / NEEDED[1]).read_text()),
    )
    net = AutoModelForImageClassification.from_pretrained(run / "export").eval()
    page = Page(f"{run.name}: {_model_name(config)}, pruned", _lead(report))
    _numbers(page, report)
    _training(page, run, report)
    _density(page, run, net)
    dense = _dense(config, net)
    _histograms(page, net, dense, target.with_name(f"{target.stem}_{histograms.RESULT}"))
    _sensitivity(page, run)
    if images:
        _confusion(page, config, net, dense, images)
    _settings(page, config, report)
    target.write_text(page.html())


def _dense(config: dict[str, Any], net: PreTrainedModel) -> PreTrainedModel | None:
    """Return what the run began with, for the images and classes of the pruned model; None if it cannot be read here."""
    pretrained = config["model"]["pretrained"]
    try:
        return build_reference(pretrained, net) if pretrained else None
    except UsageError:
        return None


def _model_name(config: dict[str, Any]) -> str:
    return Path(config["model"]["pretrained"] or config["model"]["architecture"]["model_type"]).name


def _lead(report: dict[str, Any]) -> str:
    sparsity, before, after = (
        report["sparsity"],
        report["base"]["accuracy"],
        report["pruned"]["accuracy"],
    )
    dense = "" if before is None else f", from {before:.2%}"
    return (
        f"{sparsity['prunable']:.2%} of the prunable weights and {sparsity['total']:.2%} of all "
        f"parameters are pruned; validation accuracy {after:.2%}{dense}."
    )


def _numbers(page: Page, report: dict[str, Any]) -> None:
    page.heading("Before and after")
    forms = {"accuracy": "{:.2%}", "loss": "{:.4f}"}
    names = {
        "accuracy": "validation accuracy",
        "loss": "validation loss",
        "nonzero_parameters": "parameters not zero",
    }
    names |= {"parameters": "parameters", "flops": "FLOPs of an image", "bytes": "bytes of weights"}
    sides = (report["base"], report["pruned"])
    rows = [
        (
            text,
            *(
                "-" if side[key] is None else forms.get(key, "{:,}").format(side[key])
                for side in sides
            ),
        )
        for key, text in names.items()
    ]
    page.table(("", "dense", "pruned"), rows)
    if "benchmark" not in report:
        page.paragraph(
            "Latency was not measured; the command benchmark does that on the export, and this "
            "page then shows it."
        )
        return
    columns = ("latency_ms", "images_per_s", "measured_speedup", "theoretical_speedup")
    header = ("model", "latency (ms, batch 1)", "images/s", "speed-up (images/s)", "by FLOPs")
    rows = [
        (m["name"], *(f"{m[column]:.2f}" for column in columns))
        for m in report["benchmark"]["models"]
    ]
    page.table(header, rows)


def _training(page: Page, run: Path, report: dict[str, Any]) -> None:
    page.heading("Over time")
    plot = run / "export" / "plots" / "training.png"
    if plot.is_file():
        page.picture(plot, "validation accuracy and sparsity over the epochs")
    if report["rounds"]:
        page.table(ROUND_HEADER, round_rows(report["rounds"]))


def _density(page: Page, run: Path, net: PreTrainedModel) -> None:
    page.heading("Where the weights are")
    plot = run / "export" / "plots" / "density.png"
    if plot.is_file():
        page.picture(plot, "density of each layer, roles by blocks")
    if densities := head_densities(find_layers(net)):
        page.figure(plot_heads(densities), "density of each attention head, heads by blocks")


def _histograms(
    page: Page, net: PreTrainedModel, dense: PreTrainedModel | None, numbers: Path
) -> None:
    page.heading("How the weights are distributed")
    models = {"dense, before any fine-tuning": dense, "pruned": net}
    weights = {state: _weights_by_role(model) for state, model in models.items() if model}
    places = {
        role: {state: found[role] for state, found in weights.items()} for role in weights["pruned"]
    }
    counted = {role: histograms.count(states) for role, states in places.items()}
    histograms.write_csv(counted, numbers)
    figure = histograms.plot_before_and_after(counted)
    page.figure(
        figure,
        "histograms of the weights that are not zero, a panel for each role, dense and pruned",
    )
    if not dense:
        page.paragraph(f"Without the dense model, {UNREADABLE}")


def _weights_by_role(net: PreTrainedModel) -> dict[str, torch.Tensor]:
    found: dict[str, list[torch.Tensor]] = {}
    for layer in find_layers(net):
        found.setdefault(layer.role, []).append(layer.weight.detach().flatten())
    return {role: torch.cat(found[role]) for role in ROLES if role in found}


def _sensitivity(page: Page, run: Path) -> None:
    path = run / "sensitivity" / sensitivity.RESULT
    if not path.is_file():
        return
    result = json.loads(path.read_text())
    page.heading(f"Sensitivity by {result['by']}")
    page.paragraph(
        f"What pruning one {result['by']} costs, without retraining, on {result['images']} "
        "validation images."
    )
    for name, figure in sensitivity.draw(result).items():
        page.figure(figure, f"sensitivity: {name.replace('_', ' ')}")


def _confusion(
    page: Page,
    config: dict[str, Any],
    net: PreTrainedModel,
    dense: PreTrainedModel | None,
    images: int,
) -> None:
    page.heading("What pruning confuses")
    if not dense:
        page.paragraph(f"Not known without the dense model, {UNREADABLE}")
        return
    if dense.config.num_labels != net.config.num_labels:
        page.paragraph(
            "Not known: the model that the run began with has other classes, and got a new "
            "classifier."
        )
        return
    data = {
        **config["data"],
        "processor": config["data"]["processor"] or config["model"]["pretrained"],
    }
    try:
        found = predict(dense, net, ImageData.from_config(data), images)
    except UsageError as error:
        page.paragraph(f"Not known: the data cannot be read here ({error})")
        return
    page.paragraph(
        f"The dense model, before any fine-tuning, against the pruned one on {len(found.labels)} "
        "validation images; the classes that lost most come first."
    )
    _confusion_tables(page, found)


def _confusion_tables(page: Page, found: Predictions) -> None:
    changes = found.class_changes()[:MOST_CLASSES]
    rows = [
        (
            c.name,
            str(c.images),
            f"{c.dense:.1%}",
            f"{c.pruned:.1%}",
            f"{100 * (c.pruned - c.dense):+.1f}",
        )
        for c in changes
    ]
    page.table(("class", "images", "dense", "pruned", "change (points)"), rows)
    confusions = found.new_confusions()[:MOST_CLASSES]
    if confusions:
        page.paragraph("Images that only the pruned model gets wrong:")
        page.table(
            ("class", "taken for", "images"),
            [(label, guess, str(count)) for label, guess, count in confusions],
        )
    else:
        page.paragraph("The pruned model gets no image wrong that the dense one got right.")


def _settings(page: Page, config: dict[str, Any], report: dict[str, Any]) -> None:
    page.heading("Settings")
    chosen = [
        (f"{section}.{name}", config[section][name])
        for section, names in SETTINGS.items()
        for name in names
        if config[section].get(name) is not None
    ]
    chosen += [
        (f"pruning.{name}", value)
        for name, value in (config.get("pruning") or {}).items()
        if value is not None
    ]
    page.facts(
        [
            ("command", report["environment"]["command"]),
            *((name, _plain(value)) for name, value in chosen),
        ]
    )
    versions = ", ".join(
        f"{name} {version}" for name, version in report["environment"]["versions"].items()
    )
    page.paragraph(
        f"Seed {report['environment']['seed']}; {report['environment']['device']}; {versions}."
    )


def _plain(value: Any) -> str:
    """Write a configured object as its class and what was set."""
    if not isinstance(value, dict):
        return str(value)
    options = value.get("init_args", {} if "class_path" in value else value)
    given = ", ".join(
        f"{name} {_plain(option)}" for name, option in options.items() if option not in (None, [])
    )
    kind = value.get("class_path", "").rpartition(".")[2]
    return f"{kind} ({given})" if kind and given else kind or given
