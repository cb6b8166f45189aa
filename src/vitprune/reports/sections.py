"""The sections of the page about a run, one function each; see also `confusion_section`."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from vitprune.benchmark.latency import describe_latency
from vitprune.evaluation import histograms, sensitivity_result
from vitprune.evaluation.heads import head_densities
from vitprune.evaluation.sensitivity_result import SensitivityResult
from vitprune.figures.heads import plot_heads
from vitprune.figures.histograms import plot_before_and_after
from vitprune.model.anatomy.layers import ROLES, find_layers
from vitprune.reports.finished_run import FinishedRun
from vitprune.reports.page import Page
from vitprune.reports.settings import chosen_settings
from vitprune.runs.report import BenchmarkReport, ModelReport, RunReport
from vitprune.runs.rounds import round_table

SPEED_HEADER = ("model", "latency (ms, batch 1)", "images/s", "speed-up (images/s)", "by FLOPs")
NO_DENSE = (
    "The dense model is not available: it cannot be loaded here, or training started from random "
    "weights."
)


def lead(report: RunReport) -> str:
    """Return the result of a run in one sentence."""
    dense = report.base.accuracy
    return (
        f"{report.sparsity.prunable:.2%} of the prunable weights and {report.sparsity.total:.2%} "
        f"of all parameters are pruned; validation accuracy {_percent(report.pruned.accuracy)}"
        f"{'' if dense is None else f', dense {dense:.2%}'}."
    )


def before_and_after(page: Page, report: RunReport) -> None:
    """Add the numbers of the dense and the pruned model."""
    page.heading("Before and after")
    rows = zip(_numbers(report.base), _numbers(report.pruned), strict=True)
    page.table(
        ("", "dense", "pruned"), [(name, before, after) for (name, before), (_, after) in rows]
    )
    if report.benchmark:
        page.table(SPEED_HEADER, _speeds(report.benchmark))
    elif report.latency:
        page.paragraph(f"Latency: {describe_latency(report.latency)}")
    else:
        page.paragraph(
            "Latency was not measured. Run vitprune benchmark on the export, then rerun vitprune "
            "report."
        )


def _numbers(model: ModelReport) -> list[tuple[str, str]]:
    loss = "-" if model.loss is None else f"{model.loss:.4f}"
    nonzero = "-" if model.nonzero_parameters is None else f"{model.nonzero_parameters:,}"
    return [
        ("validation accuracy", _percent(model.accuracy)),
        ("validation loss", loss),
        ("nonzero parameters", nonzero),
        ("parameters", f"{model.parameters:,}"),
        ("FLOPs per image", "-" if model.flops is None else f"{model.flops:,}"),
        ("bytes of weights", f"{model.bytes:,}"),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _speeds(benchmark: BenchmarkReport) -> list[tuple[str, ...]]:
    return [
        (
            model.name,
            f"{model.latency_ms:.2f}",
            f"{model.images_per_s:.2f}",
            f"{model.measured_speedup:.2f}",
            f"{model.theoretical_speedup:.2f}",
        )
        for model in benchmark.models
    ]


def training(page: Page, run: FinishedRun) -> None:
    """Add accuracy and sparsity over the epochs, and the pruning rounds."""
    page.heading("Training")
    _add_plot(page, run, "training", "validation accuracy and sparsity over the epochs")
    if run.report.rounds:
        header, *rows = round_table(run.report.rounds)
        page.table(header, rows)


def density(page: Page, run: FinishedRun, net: PreTrainedModel) -> None:
    """Add the density of each layer and of each attention head."""
    page.heading("Density")
    _add_plot(page, run, "density", "density of each layer, roles by blocks")
    if densities := head_densities(find_layers(net)):
        page.figure(plot_heads(densities), "density of each attention head, heads by blocks")


def _add_plot(page: Page, run: FinishedRun, name: str, description: str) -> None:
    """Add a figure of the export, if it has it."""
    path = run.folder.export.plots / f"{name}.png"
    if path.is_file():
        page.picture(path, description)


def weight_distribution(
    page: Page, net: PreTrainedModel, dense: PreTrainedModel | None, numbers: Path
) -> None:
    """Add histograms of the weights of each role; write their numbers to a CSV file.

    Args:
        page: The page.
        net: The pruned model.
        dense: The dense model; None if it is not available.
        numbers: Path of the CSV file.

    """
    page.heading("Distribution of the weights")
    weights = {"dense, before fine-tuning": _weights_by_role(dense)} if dense else {}
    weights["pruned"] = _weights_by_role(net)
    counted = {
        role: histograms.count({state: found[role] for state, found in weights.items()})
        for role in weights["pruned"]
    }
    histograms.write_csv(counted, numbers)
    page.figure(
        plot_before_and_after(counted),
        "histograms of the nonzero weights, a panel for each role, dense and pruned",
    )
    if not dense:
        page.paragraph(NO_DENSE)


def _weights_by_role(net: PreTrainedModel) -> dict[str, torch.Tensor]:
    found: dict[str, list[torch.Tensor]] = {}
    for layer in find_layers(net):
        found.setdefault(layer.role, []).append(layer.weight.detach().flatten())
    return {role: torch.cat(found[role]) for role in ROLES if role in found}


def sensitivity(page: Page, run: FinishedRun) -> None:
    """Add the figures of a sensitivity scan in the folder of the run, if there is one."""
    path = run.folder.results("sensitivity") / sensitivity_result.RESULT
    if not path.is_file():
        return
    result = SensitivityResult.read(path)
    page.heading(f"Sensitivity by {result.by}")
    page.paragraph(
        f"Accuracy after pruning one {result.by}, without fine-tuning, on {result.images} "
        "validation images."
    )
    for name, figure in result.draw().items():
        page.figure(figure, f"sensitivity: {name.replace('_', ' ')}")


def settings(page: Page, run: FinishedRun) -> None:
    """Add the command, the settings and the environment of a run."""
    page.heading("Settings")
    environment = run.report.environment
    page.facts([("command", environment.command or "-"), *chosen_settings(run.config)])
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    page.paragraph(f"Seed {environment.seed}; {environment.device}; {versions}.")
