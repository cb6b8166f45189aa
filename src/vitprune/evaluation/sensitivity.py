"""Sensitivity: how much accuracy it costs to prune one layer, block or role in one shot."""

from collections.abc import Mapping, Sequence

from lightning import Trainer
from torch import Tensor

from vitprune.data import ImageData
from vitprune.evaluation.grouping import By, group_layers, place_of
from vitprune.evaluation.measurement import DENSE, Measurement, Outcome
from vitprune.evaluation.one_shot import calibrate_dense, check
from vitprune.evaluation.scan import Scan, ScanOptions, describe_calibration, pruning_of
from vitprune.evaluation.sensitivity_result import Losses, SensitivityResult
from vitprune.evaluation.settings import Settings
from vitprune.evaluation.sparsities import check_sparsities
from vitprune.figures.tables import print_table
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Method


def run(
    trainer: Trainer,
    model: ViTClassifier,
    data: ImageData,
    by: By,
    sparsities: Sequence[float],
    options: ScanOptions,
) -> None:
    """Prune one group of layers at a time, evaluate the model, and save the results.

    Args:
        trainer: Its pruning callback gives criterion, granularity, layers and seed.
        model: The model.
        data: Its validation images are used.
        by: Part of the model that is pruned at a time: `layer`, `block` or `role`.
        sparsities: Target sparsities of each group, in (0, 1).
        options: Options of every scan.

    Raises:
        UsageError: If an option is not valid, or the folder holds results of other settings.

    """
    sparsities = check_sparsities(sparsities)
    pruning = pruning_of(trainer)
    # several layers of a group get the same sparsity, whatever the allocation of a run
    method = Method(pruning.method.criterion, pruning.method.granularity)
    layers = pruning.layers.select(
        model, method.granularity.roles, only_blocks=method.granularity.only_blocks
    )
    check(method, layers, sparsities)
    groups = group_layers(layers, by, method.granularity)
    settings: Settings = {
        "by": by,
        "sparsities": sparsities,
        "layers": [layer.name for layer in layers],
        "method": method.describe(),
        "seed": pruning.seed,
        **describe_calibration(pruning, [method]),
    }
    scan = Scan(trainer, "sensitivity", model, data, settings, options)
    statistics = calibrate_dense(
        method.criterion, model, data, layers, pruning.calibration_images, pruning.seed
    )
    planned = plan(groups, sparsities, method, pruning.seed, statistics)
    outcomes = scan.measure(list(planned.values()))
    if scan.fabric.is_global_zero:
        result = summarize(by, method, groups, planned, outcomes, scan.settings)
        print_table(result.most_sensitive())
        scan.publish(result.save(scan.folder))


def plan(
    groups: Mapping[str, Sequence[Layer]],
    sparsities: Sequence[float],
    method: Method,
    seed: int,
    statistics: Mapping[str, Tensor] | None = None,
) -> dict[tuple[str, float], Measurement]:
    """Return the measurements by group and sparsity.

    Args:
        groups: Layers to prune together, by name.
        sparsities: Target sparsities of each group, in (0, 1).
        method: Criterion, granularity and allocation.
        seed: Seed of random scores.
        statistics: Calibration statistics by layer name.

    """
    return {
        (name, sparsity): Measurement(
            f"{name} at {sparsity}", layers, sparsity, method, seed, statistics or {}
        )
        for name, layers in groups.items()
        for sparsity in sparsities
    }


def summarize(
    by: By,
    method: Method,
    groups: Mapping[str, Sequence[Layer]],
    planned: Mapping[tuple[str, float], Measurement],
    outcomes: Mapping[str, Outcome],
    settings: Settings,
) -> SensitivityResult:
    """Return the result of a scan.

    Args:
        by: How layers are grouped.
        method: How they were pruned.
        groups: Layers that were pruned together, by name.
        planned: Measurements by group and target sparsity.
        outcomes: Their outcomes, and that of the dense model, by key.
        settings: Settings of the scan.

    """
    curves: dict[str, dict[float, Outcome]] = {name: {} for name in groups}
    for (name, sparsity), measurement in planned.items():
        curves[name][sparsity] = outcomes[measurement.key]
    losses = {name: {s: o.loss for s, o in curve.items()} for name, curve in curves.items()}
    return SensitivityResult(
        metric="accuracy",
        dense=outcomes[DENSE].accuracy,
        images=outcomes[DENSE].images,
        criterion=type(method.criterion).__name__,
        granularity=type(method.granularity).__name__,
        by=by,
        scan={name: {s: o.accuracy for s, o in curve.items()} for name, curve in curves.items()},
        reached={name: {s: o.sparsity for s, o in curve.items()} for name, curve in curves.items()},
        groups={name: [layer.name for layer in layers] for name, layers in groups.items()},
        places={name: place_of(layers) for name, layers in groups.items()},
        loss=Losses(outcomes[DENSE].loss, losses),
        settings=settings,
    )
