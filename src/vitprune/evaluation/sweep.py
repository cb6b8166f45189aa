"""Sweep: accuracy over sparsity of several methods, pruned in one shot, without fine-tuning."""

from collections.abc import Mapping, Sequence

from lightning import Trainer
from torch import Tensor

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.evaluation.measurement import DENSE, Measurement, Outcome
from vitprune.evaluation.methods import choose_methods
from vitprune.evaluation.one_shot import calibrate_dense, check
from vitprune.evaluation.scan import Scan, ScanOptions, describe_calibration, pruning_of
from vitprune.evaluation.settings import Settings, SweepSettings
from vitprune.evaluation.sparsities import check_sparsities
from vitprune.evaluation.sweep_result import MethodResult, SweepResult
from vitprune.figures.tables import print_table
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Method


def run(
    trainer: Trainer,
    model: ViTClassifier,
    data: ImageData,
    methods: Mapping[str, Method] | Sequence[str] | None,
    sparsities: Sequence[float],
    seeds: int,
    options: ScanOptions,
) -> None:
    """Prune the whole model by several methods, evaluate it, and save the results.

    Args:
        trainer: Its pruning callback gives layers and seed.
        model: The model.
        data: Its validation images are used.
        methods: Methods by name, or names of usual ones; None for all usual ones.
        sparsities: Target sparsities, in (0, 1).
        seeds: Number of seeds of a random method.
        options: Options of every scan.

    Raises:
        UsageError: If an option is not valid, or the folder holds results of other settings.

    """
    if seeds < 1:
        raise UsageError(f"--seeds must be at least 1, not {seeds}.")
    chosen = choose_methods(methods)
    sparsities = check_sparsities(sparsities)
    pruning = pruning_of(trainer)
    used = list(range(pruning.seed, pruning.seed + seeds))
    layers = {
        name: pruning.layers.select(
            model, method.granularity.roles, only_blocks=method.granularity.only_blocks
        )
        for name, method in chosen.items()
    }
    for name, method in chosen.items():
        check(method, layers[name], sparsities)
    settings: Settings = {
        "sparsities": sparsities,
        "seeds": used,
        "layers": {name: [layer.name for layer in mine] for name, mine in layers.items()},
        "methods": {name: method.describe() for name, method in chosen.items()},
        **describe_calibration(pruning, chosen.values()),
    }
    scan = Scan(trainer, "sweep", model, data, settings, options)
    statistics = {
        name: calibrate_dense(
            method.criterion, model, data, layers[name], pruning.calibration_images, pruning.seed
        )
        for name, method in chosen.items()
    }
    planned = plan(chosen, sparsities, layers, used, statistics)
    outcomes = scan.measure(list(planned.values()))
    if scan.fabric.is_global_zero:
        result = summarize(planned, outcomes, scan.settings)
        print_table(result.table())
        scan.publish(result.save(scan.folder))


def plan(
    methods: Mapping[str, Method],
    sparsities: Sequence[float],
    layers: Mapping[str, Sequence[Layer]],
    seeds: Sequence[int],
    statistics: Mapping[str, Mapping[str, Tensor]],
) -> dict[tuple[str, float, int], Measurement]:
    """Return the measurements by method, sparsity and seed.

    Args:
        methods: Methods by name.
        sparsities: Target sparsities, in (0, 1).
        layers: Layers that each method prunes.
        seeds: Seeds of the random criteria; the other criteria use only the first one.
        statistics: Calibration statistics of each method.

    """
    return {
        (name, sparsity, seed): Measurement(
            f"{name} at {sparsity}, seed {seed}",
            layers[name],
            sparsity,
            method,
            seed,
            statistics[name],
        )
        for name, method in methods.items()
        for sparsity in sparsities
        for seed in (seeds if method.criterion.is_random else seeds[:1])
    }


def summarize(
    planned: Mapping[tuple[str, float, int], Measurement],
    outcomes: Mapping[str, Outcome],
    settings: Settings,
) -> SweepResult:
    """Return the result of a sweep.

    Args:
        planned: Measurements by method, target sparsity and seed.
        outcomes: Their outcomes, and that of the dense model, by key.
        settings: Settings of the sweep.

    """
    methods: dict[str, MethodResult] = {}
    for (name, sparsity, _), measurement in planned.items():
        outcome = outcomes[measurement.key]
        result = methods.setdefault(name, MethodResult({}, {}, {}))
        result.reached[sparsity] = outcome.sparsity
        result.accuracy.setdefault(sparsity, []).append(outcome.accuracy)
        result.loss.setdefault(sparsity, []).append(outcome.loss)
    dense = outcomes[DENSE]
    return SweepResult(
        metric="accuracy",
        dense=dense.accuracy,
        dense_loss=dense.loss,
        images=dense.images,
        methods=methods,
        settings=SweepSettings.model_validate(settings),
    )
