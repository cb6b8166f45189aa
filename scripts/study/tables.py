"""Which rows at which sparsities make up a table, and which rows a figure or a set of curves."""

from dataclasses import dataclass

LEARNING_RATES = (
    3e-5,
    1e-4,
    3e-4,
    1e-3,
    3e-3,
    1e-2,
)  # a search begins in the middle and goes on until both sides are worse


@dataclass(frozen=True)
class Part:
    """Some rows at some sparsities, trained with some seeds."""

    rows: tuple[str, ...]
    sparsities: tuple[float, ...]
    seeds: int = 1


def at_90_then_80(*rows: str) -> tuple[Part, ...]:
    """The harder sparsity first: there the methods differ most."""
    return tuple(Part(rows, (sparsity,)) for sparsity in (0.9, 0.8))


PEERS = (
    "the article, at once",
    "the article, 4 rounds",
    "ModelPruning, after an epoch",
    "ModelPruning, 2 rounds",
)
RECIPE = ("SparseGPT, distilled", "SparseGPT, distilled, cubic, 8 rounds by half")
OTHERS = ("the article, at once", "the article, 4 rounds", "ModelPruning, after an epoch")
HEADLINE = (*OTHERS, *RECIPE)
QUICK_RECIPE = (
    "SparseGPT, distilled, cubic, 8 rounds by half, 64 images"  # as accurate, in less time
)
SLOW_RECIPE = "SparseGPT, distilled, cubic, 8 rounds by half, slow start, 64 images"
SHORT = (*OTHERS, "SparseGPT, distilled", QUICK_RECIPE)
STRUCTURED = (
    "Torch-Pruning, L2",
    "Torch-Pruning, Taylor",
    "Torch-Pruning, Taylor, distilled",
    "heads and neurons",
    "heads and neurons, Taylor",
    "heads and neurons, Taylor, distilled",
)

TABLES: dict[str, tuple[Part, ...]] = {
    "peers": (
        *at_90_then_80(*HEADLINE),
        Part(HEADLINE, (0.9, 0.8), seeds=3),  # once each is there
        *at_90_then_80("ModelPruning, 2 rounds"),
        Part(("ModelPruning, 2 rounds, rewound",), (0.8,)),
    ),
    "control": (Part(("dense control",), (0.0,)),),
    "minutes": (
        Part(("the article, at once",), (0.9,)),
    ),  # with --epochs, for as long as another row takes
    "sparsities": (Part(SHORT, (0.9, 0.95, 0.5)), Part((SLOW_RECIPE,), (0.9, 0.95))),
    "schedules": at_90_then_80(
        "at once",
        "linear, 4 rounds",
        "linear, 8 rounds",
        "linear, 8 rounds by half",
        "cubic, 4 rounds",
        "cubic, 8 rounds",
        "cubic, 8 rounds by half",
        "cubic, 50 rounds by half",
        "geometric, 8 rounds by half",
        "cubic, 4 rounds, rewound",
        "at once, slow start",
        "cubic, 4 rounds, slow start",
    ),
    "rounds of the recipe": at_90_then_80(
        "distilled, hidden states",
        "distilled, hidden states, cubic, 4 rounds",
        *RECIPE,
        QUICK_RECIPE,
        "SparseGPT, distilled, cubic, 8 rounds by half, slow start",
        SLOW_RECIPE,
        "SparseGPT, distilled, cubic, 4 rounds",
    ),
    "scores": at_90_then_80("at once", "Taylor", "Wanda", "SparseGPT"),
    "allocations": at_90_then_80("at once", "Global", "ERK", "LAMP"),
    "teachers": at_90_then_80(
        "at once",
        "random crops",
        "distilled",
        "distilled, hidden states",
        "ModelPruning, distilled",
    ),
    "patterns": (Part(("2:4", "2:4, SparseGPT, distilled"), (0.5,)),),
    "structure": (Part(STRUCTURED, (0.25, 0.5)),),
}


def rows_of(*tables: str) -> tuple[str, ...]:
    """Return the rows of some tables, each once, in their order."""
    return tuple(
        dict.fromkeys(row for table in tables for part in TABLES[table] for row in part.rows)
    )


FIGURES: dict[str, tuple[str, ...]] = {
    "peers": (*PEERS, *RECIPE),
    "schedules": rows_of("schedules"),
    "changes": rows_of("scores", "allocations", "teachers", "rounds of the recipe"),
    "structure": STRUCTURED,
}
CURVES: dict[str, tuple[str, ...]] = {"sparsities": SHORT}  # over at least three sparsities
