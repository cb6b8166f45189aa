"""The classes of each axis, over which the contract tests run."""

from vitprune.pruning import (
    ERK,
    LAMP,
    Branch,
    Column,
    Combined,
    Element,
    Fisher,
    Global,
    Head,
    HeadDim,
    Isomorphic,
    Magnitude,
    Movement,
    Neuron,
    NofM,
    PerLayer,
    Random,
    Row,
    SparseGPT,
    Taylor,
    Tile,
    Uniform,
    Variance,
    Wanda,
    Width,
)

CRITERIA = [
    Magnitude(),
    Magnitude(p=2),
    Magnitude(p=float("inf")),
    Random(),
    Taylor(),
    Taylor(joint=True),
    Fisher(),
    Wanda(),
    Wanda(per_output=False),
    SparseGPT(),
    Variance(),
    Movement(),
]
GRANULARITIES = [
    Element(),
    Row(),
    Column(),
    Tile(4, 8),
    NofM(2, 4),
    NofM(1, 8),
    Neuron(),
    Neuron(round_to=8, loadable=True),
    Head(),
    Head(loadable=True),
    HeadDim(),
    HeadDim(round_to=4, loadable=True),
    Branch(),
    Width(),
    Width(round_to=4),
    Combined([Head(), Neuron()]),
]
ALLOCATIONS = [
    Uniform(),
    Isomorphic(),
    Isomorphic(rates={"depth": 2.0, "evenness": 0.5}),
    Uniform(min_density=0.05),
    ERK(),
    Global(),
    Global(min_density=0.1),
    Global(normalize=True),
    LAMP(),
    PerLayer({"query": 0.3, "*mlp*": 0.9, "*": 0.6}),
]


def name(axis):
    """Return the id of a test: class and numbers."""
    numbers = [value for value in vars(axis).values() if isinstance(value, int | float)]
    return "-".join(map(str, [type(axis).__name__, *numbers]))
