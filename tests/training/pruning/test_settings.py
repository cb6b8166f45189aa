"""Settings that go together, and what a checkpoint stores of them."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vitprune.errors import UsageError
from vitprune.pruning import (
    ERK,
    LAMP,
    AccuracyGuarded,
    Allocation,
    Branch,
    Budget,
    Column,
    Combined,
    Compensation,
    Criterion,
    Cubic,
    Element,
    Fisher,
    FLOPs,
    FromSensitivity,
    Geometric,
    Global,
    Granularity,
    Head,
    HeadDim,
    Isomorphic,
    IterativePruning,
    Latency,
    LayerSelection,
    LearningRate,
    Levels,
    Linear,
    Magnitude,
    Mean,
    Movement,
    Neuron,
    NofM,
    OneShot,
    Parameters,
    PerLayer,
    PrunableWeights,
    Random,
    Rewind,
    Ridge,
    RigL,
    Row,
    Schedule,
    Search,
    SparseGPT,
    Taylor,
    Tile,
    Uniform,
    Variance,
    Wanda,
    Weights,
    Width,
)
from vitprune.pruning.settings import describe, first_difference

AXES = [Schedule, Criterion, Granularity, Allocation, Budget, Compensation, Rewind]
NOT_THE_DEFAULTS = [
    Cubic(0.9, end=9, begin=1, every=4, unit="step", initial_sparsity=0.5),
    Geometric(0.9, end=9, begin=1, every=4, unit="step", initial_sparsity=0.5),
    Linear(0.9, end=9, begin=1, every=4, unit="step", initial_sparsity=0.5),
    Levels([0.1, 0.2], begin=1, every=2, unit="step"),
    OneShot(0.3, begin=3, unit="step"),
    AccuracyGuarded(0.2, 0.02, patience=1, min_step=0.1, max_sparsity=0.7, begin=1),
    Fisher(),
    Magnitude(2.0),
    Movement(),
    Random(),
    SparseGPT(0.1, in_order=True),
    Taylor(joint=True),
    Variance(),
    Wanda(per_output=False),
    Branch(),
    Column(),
    Combined([Head(), Neuron(round_to=2)]),
    Element(),
    Head(round_to=2, loadable=True),
    HeadDim(round_to=2, loadable=True),
    Neuron(round_to=2, loadable=True),
    NofM(1, 8),
    Row(),
    Tile(4, 8),
    Width(round_to=8),
    ERK(min_density=0.1),
    Global(min_density=0.1, normalize=True),
    Isomorphic(min_density=0.1, rates={"heads": 2.0}),
    LAMP(min_density=0.1),
    PerLayer({"first": 0.5}, min_density=0.1),
    Search(trials=5, images=6, min_density=0.1),
    Uniform(min_density=0.1),
    FLOPs(target=1e9),
    Parameters(target=1e6),
    PrunableWeights(),
    Mean(),
    Ridge(0.1),
    LearningRate(),
    Weights(step=3),
    RigL(0.4),
    LayerSelection(["query"], [0], [1], ["*"], ["x"]),
]


def family(cls):
    return [cls, *(below for child in cls.__subclasses__() for below in family(child))]


def test_every_class_of_every_axis_is_in_the_list():
    ours = {
        cls
        for axis in AXES
        for cls in family(axis)
        if cls.__module__.startswith("vitprune.") and not inspect.isabstract(cls)
    }
    assert ours - {type(setting) for setting in NOT_THE_DEFAULTS} == {FromSensitivity, Latency}


@pytest.mark.parametrize("setting", NOT_THE_DEFAULTS, ids=lambda setting: type(setting).__name__)
def test_a_setting_is_described_by_its_arguments_alone(setting):
    cls = type(setting)
    described = describe(setting)
    assert described.pop("class") == cls.__name__
    assert list(described) == list(inspect.signature(cls).parameters)
    parts = {
        name: getattr(setting, name) if name == "granularities" else value
        for name, value in described.items()
    }
    assert describe(cls(**parts)) == describe(setting)
    for name, parameter in inspect.signature(cls).parameters.items():
        assert described[name] != parameter.default


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (
            Cubic(np.float64(0.9), end=np.int64(9), begin=np.int64(1), every=np.int64(4)),
            Cubic(0.9, end=9, begin=1, every=4),
        ),
        (Levels(np.linspace(0.25, 0.5, 2)), Levels([0.25, 0.5])),
        (OneShot(torch.tensor(0.5)), OneShot(0.5)),
        (
            AccuracyGuarded(np.float64(0.2), patience=np.int64(1)),
            AccuracyGuarded(0.2, patience=1),
        ),
        (Magnitude(np.float64(2.0)), Magnitude(2.0)),
        (Taylor(joint=np.True_), Taylor(joint=True)),
        (Tile(np.int64(4), np.int64(8)), Tile(4, 8)),
        (PerLayer({np.str_("first"): np.float64(0.5)}), PerLayer({"first": 0.5})),
        (
            LayerSelection(np.array(["query"]), np.arange(2), range(1), ("*",), np.array(["x"])),
            LayerSelection(["query"], [0, 1], [0], ["*"], ["x"]),
        ),
    ],
    ids=lambda setting: type(setting).__name__,
)
def test_numbers_and_arrays_of_numpy_and_torch_are_described_as_plain_values(given, plain):
    assert repr(describe(given)) == repr(describe(plain))


def test_a_latency_is_described_without_its_measurements():
    budget = Latency(speedup=2.0, batch_size=8, backend="compiled", dtype="bfloat16")
    described = {"class": "Latency", "target": None, "speedup": 2.0, "table": None, "batch_size": 8}
    assert describe(budget) == described | {"backend": "compiled", "dtype": "bfloat16"}


def test_a_scan_is_described_by_its_path(tmp_path):
    path = tmp_path / "sensitivity.json"
    scan = {"granularity": "Element", "dense": 0.9, "groups": {"a": ["a"]}}
    scan |= {"reached": {"a": {"0.5": 0.5}}, "scan": {"a": {"0.5": 0.8}}}
    path.write_text(json.dumps(scan))
    described = describe(FromSensitivity(str(path), min_density=0.1))
    assert described == {"class": "FromSensitivity", "path": str(path), "min_density": 0.1}


def test_a_setting_that_loses_its_arguments_is_refused_when_it_is_given():
    class Forgetful(Magnitude):
        def __init__(self, power: float = 2.0) -> None:
            super().__init__(power)

    with pytest.raises(
        UsageError, match=r"Forgetful does not keep its argument power.*self\.power"
    ):
        IterativePruning(OneShot(0.5), Forgetful())


def test_the_first_difference_is_named_by_its_path():
    ours = describe({"schedule": Cubic(0.8, end=4), "names": {"a": 0.1}})
    theirs = describe({"schedule": Cubic(0.8, end=5), "names": {"a": 0.2}})
    assert first_difference(theirs, ours) == "schedule.end: 5 in the checkpoint, 4 now"
    theirs = describe({"schedule": Cubic(0.8, end=4), "names": {"a": 0.2}})
    assert first_difference(theirs, ours).startswith("names: {'a': 0.2} in the checkpoint")
    assert not first_difference(ours, ours)


@pytest.mark.parametrize(
    ("schedule", "options", "message"),
    [
        (AccuracyGuarded(), {"regrow": RigL()}, "does not know how many"),
        (OneShot(0.5), {"regrow": RigL()}, "several rounds, known beforehand; OneShot has one"),
        (Levels([0.5, 0.6]), {"regrow": RigL(), "criterion": SparseGPT()}, "already"),
        (
            Levels([0.5, 0.6], begin=1),
            {"regrow": RigL(), "criterion": Movement()},
            "already",
        ),
        (
            Levels([0.5, 0.6], begin=1),
            {"allocation": LAMP(), "criterion": Movement()},
            "use Global",
        ),
        (AccuracyGuarded(), {"rewind": Weights()}, "restores weights itself. Use LearningRate"),
        (
            AccuracyGuarded(),
            {"monitor": None},
            "better when higher. Set pruning.monitor to one, not None",
        ),
        (
            AccuracyGuarded(),
            {"monitor": "val/loss"},
            "better when higher. Set pruning.monitor to one, not 'val/loss'",
        ),
        (
            AccuracyGuarded(),
            {"monitor": "MAE"},
            "better when higher. Set pruning.monitor to one, not 'MAE'",
        ),
        (0.8, {}, "schedule must be a schedule such as Cubic, not 0.8"),
        (OneShot(0.5), {"layers": ["head"]}, r"must be a LayerSelection, not \['head'\]"),
        (
            Levels([0.5, 0.6]),
            {"rewind": Weights(), "criterion": SparseGPT()},
            "undoes the weight updates of SparseGPT",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(schedule, options, message):
    with pytest.raises(UsageError, match=message):
        IterativePruning(schedule, **options)


class Scaled(Magnitude):
    """A criterion that passes arguments on."""

    def __init__(self, scale=1.0, **options):
        super().__init__(**options)
        self.scale = scale


def test_arguments_that_are_passed_on_are_stored():
    assert describe(Scaled(2.0, p=1)) == {"class": "Scaled", "scale": 2.0, "p": 1}
    difference = first_difference({"c": describe(Scaled(p=1))}, {"c": describe(Scaled(p=2))})
    assert difference == "c.p: 1 in the checkpoint, 2 now"


def test_values_without_arguments_are_refused_and_paths_are_strings():
    assert describe(Path("a") / "b") == "a/b"
    with pytest.raises(UsageError, match=r"torch.float32 cannot be stored in a checkpoint"):
        describe(torch.float32)
