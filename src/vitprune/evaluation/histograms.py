"""The distribution of the weights of some layers, before and after one-shot pruning."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning import Trainer
from matplotlib.figure import Figure
from torch import Tensor

from vitprune.data import ImageData
from vitprune.evaluation.methods import choose_methods
from vitprune.evaluation.one_shot import calibrate_dense, check, pruned
from vitprune.evaluation.results_folder import find_folder, publish
from vitprune.evaluation.scan import ScanOptions, load_weights, pruning_of
from vitprune.evaluation.sparsities import check_sparsities
from vitprune.figures.histograms import Histogram, plot_histograms
from vitprune.figures.saving import save_figure
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning import LayerSelection, Method
from vitprune.runs.atomic import replacing

BINS = 60
RESULT = "histograms.csv"
HEADER = ("layer", "state", "low", "high", "weights")


def run(
    trainer: Trainer,
    model: ViTClassifier,
    data: ImageData,
    names: Sequence[str],
    sparsity: float,
    methods: Mapping[str, Method] | Sequence[str] | None,
    finetuned: str | None,
    options: ScanOptions,
) -> None:
    """Prune some layers by several methods, and draw histograms of their weights.

    Args:
        trainer: Its pruning callback gives the seed.
        model: The model.
        data: Its classes and calibration images are used.
        names: Names or patterns of the layers.
        sparsity: Target sparsity of these layers, in (0, 1).
        methods: Methods by name, or names of usual ones; None for all usual ones.
        finetuned: Folder of the same model after pruning and fine-tuning; None if there is none.
        options: Options of every scan.

    Raises:
        UsageError: If an option is not valid.

    """
    check_sparsities([sparsity])
    chosen = choose_methods(methods)
    if options.ckpt_path:
        load_weights(model, options.ckpt_path)
    layers = LayerSelection(names=list(names)).select(model)
    later = _weights_by_layer(find_layers(ViTClassifier(finetuned))) if finetuned else {}
    states = {"before": _weights_by_layer(layers)}
    pruning = pruning_of(trainer)
    for name, method in chosen.items():
        check(method, layers, [sparsity])
        statistics = calibrate_dense(
            method.criterion, model, data, layers, pruning.calibration_images, pruning.seed
        )
        with pruned(layers, sparsity, method, pruning.seed, statistics):
            states[name] = _weights_by_layer(layers)
    states["after fine-tuning"] = later
    root = Path(trainer.default_root_dir)
    folder = find_folder("histograms", root, options.output, options.ckpt_path)
    folder.mkdir(parents=True, exist_ok=True)
    histograms = {layer.name: count(_of_layer(layer.name, states)) for layer in layers}
    print(f"Layers: {', '.join(histograms)} (--names selects others)")
    publish(folder, "histograms", save(histograms, folder))


def _weights_by_layer(layers: Sequence[Layer]) -> dict[str, Tensor]:
    return {layer.name: layer.weight.detach().clone() for layer in layers}


def _of_layer(name: str, states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the weight of one layer in each state that has this layer."""
    return {state: weights[name] for state, weights in states.items() if name in weights}


def count(states: Mapping[str, Tensor]) -> dict[str, Histogram]:
    """Return the histogram of a weight in each state, all with the same bins around zero."""
    largest = max(float(weight.abs().max()) for weight in states.values()) or 1.0
    edges = np.linspace(-largest, largest, BINS + 1)
    return {state: _count(weight, edges) for state, weight in states.items()}


def _count(weight: Tensor, edges: np.ndarray) -> Histogram:
    values = weight[weight != 0].double().numpy()
    counts, _ = np.histogram(values, edges)
    return Histogram(edges, counts, zeros=weight.numel() - int(torch.count_nonzero(weight)))


def save(layers: Mapping[str, Mapping[str, Histogram]], folder: Path) -> dict[str, Figure]:
    """Save `histograms.csv` and a figure for each layer to a folder; return the figures by layer.

    Args:
        layers: Histograms by layer and state.
        folder: Folder of the results.

    """
    write_csv(layers, folder / RESULT)
    figures = {layer: plot_histograms(layer, states) for layer, states in layers.items()}
    for layer, figure in figures.items():
        save_figure(figure, folder / f"{layer}.png")
    return figures


def write_csv(layers: Mapping[str, Mapping[str, Histogram]], path: Path) -> None:
    """Write a line for each bin, and one from 0 to 0 for the zeros.

    Args:
        layers: Histograms by layer and state.
        path: Path of the file.

    """
    with replacing(path) as scratch, scratch.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for layer, states in layers.items():
            for state, histogram in states.items():
                writer.writerow((layer, state, 0.0, 0.0, histogram.zeros))
                bins = zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
                writer.writerows(
                    (layer, state, float(low), float(high), int(weights))
                    for low, high, weights in bins
                )
