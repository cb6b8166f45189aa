"""Which rows at which sparsities make a table, and which rows a figure."""

from dataclasses import dataclass, replace

from scripts.study.budget import CALIBRATION_IMAGES
from scripts.study.fine_tuning import WARMUP_FRACTION
from scripts.study.rows.article import Article
from scripts.study.rows.dense import Dense
from scripts.study.rows.groups import HEADS_AND_NEURONS, TWO_OF_FOUR
from scripts.study.rows.model_pruning import LightningModelPruning
from scripts.study.rows.ours import Ours
from scripts.study.rows.rounds import Rounds
from scripts.study.rows.row import Row
from scripts.study.rows.torch_pruning import TorchPruning
from scripts.study.teacher import HIDDEN_STATES, LOGITS, NORMALIZED
from vitprune.pruning import (
    ERK,
    LAMP,
    Cubic,
    Geometric,
    Global,
    Linear,
    SparseGPT,
    Taylor,
    Wanda,
)

LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
LONG_WARMUP = 0.25


@dataclass(frozen=True)
class Part:
    """Some rows at some sparsities, each trained with so many seeds."""

    rows: tuple[Row, ...]
    sparsities: tuple[float, ...]
    seeds: int = 1


def at_90_then_80(*rows: Row) -> tuple[Part, ...]:
    """Return the rows at 90 %, where methods differ most, before the same rows at 80 %."""
    return tuple(Part(rows, (sparsity,)) for sparsity in (0.9, 0.8))


def recipe(
    rounds: Rounds | None, warmup: float = WARMUP_FRACTION, images: int = CALIBRATION_IMAGES
) -> Ours:
    """Return the recipe, SparseGPT with distillation, with these settings."""
    return Ours(
        criterion=SparseGPT,
        teacher=HIDDEN_STATES,
        rounds=rounds,
        warmup_fraction=warmup,
        calibration_images=images,
    )


EIGHT_IN_FIRST_HALF = Rounds(Cubic, 8, in_first_half=True)
FIFTY_IN_FIRST_HALF = Rounds(Cubic, 50, in_first_half=True)

ARTICLE = Article(rounds=1)
MODEL_PRUNING = LightningModelPruning()
MODEL_PRUNING_2 = LightningModelPruning(rounds=2)
OTHERS = (ARTICLE, Article(rounds=4), MODEL_PRUNING)

ONE_SHOT = Ours()
FOUR_ROUNDS = Ours(rounds=Rounds(Cubic, 4))
DISTILLATION = Ours(teacher=HIDDEN_STATES)
RECIPE = (recipe(None), recipe(EIGHT_IN_FIRST_HALF))
QUICK_RECIPE = recipe(EIGHT_IN_FIRST_HALF, images=64)  # as accurate, in less time
WARMED_UP_RECIPE = recipe(EIGHT_IN_FIRST_HALF, warmup=LONG_WARMUP, images=64)
NORMALIZED_RECIPE = replace(WARMED_UP_RECIPE, teacher=NORMALIZED)
BEST_RECIPE = replace(NORMALIZED_RECIPE, batch_size=8)

HEADLINE = (*OTHERS, *RECIPE)
SHORT = (*OTHERS, recipe(None), QUICK_RECIPE)
STRUCTURED = (
    TorchPruning("L2"),
    TorchPruning("Taylor"),
    TorchPruning("Taylor", HIDDEN_STATES),
    Ours(HEADS_AND_NEURONS, Global),
    Ours(HEADS_AND_NEURONS, Global, Taylor),
    Ours(HEADS_AND_NEURONS, Global, Taylor, HIDDEN_STATES),
)

TABLES: dict[str, tuple[Part, ...]] = {
    "peers": (
        *at_90_then_80(*HEADLINE),
        Part(HEADLINE, (0.9, 0.8), seeds=3),  # after one seed of everything
        *at_90_then_80(MODEL_PRUNING_2),
        Part((LightningModelPruning(rounds=2, rewind_weights=True),), (0.8,)),
    ),
    "control": (Part((Dense(),), (0.0,)),),
    "minutes": (Part((ARTICLE,), (0.9,)),),  # with --epochs: as many minutes as another row
    "sparsities": (Part(SHORT, (0.9, 0.95, 0.5)), Part((WARMED_UP_RECIPE,), (0.9, 0.95))),
    "schedules": at_90_then_80(
        ONE_SHOT,
        Ours(rounds=Rounds(Linear, 4)),
        Ours(rounds=Rounds(Linear, 8)),
        Ours(rounds=Rounds(Linear, 8, in_first_half=True)),
        FOUR_ROUNDS,
        Ours(rounds=Rounds(Cubic, 8)),
        Ours(rounds=EIGHT_IN_FIRST_HALF),
        Ours(rounds=FIFTY_IN_FIRST_HALF),
        Ours(rounds=Rounds(Geometric, 8, in_first_half=True)),
        Ours(rounds=Rounds(Cubic, 4), rewind_learning_rate=True),
        Ours(warmup_fraction=LONG_WARMUP),
        Ours(rounds=Rounds(Cubic, 4), warmup_fraction=LONG_WARMUP),
    ),
    "rounds of the recipe": at_90_then_80(
        DISTILLATION,
        Ours(teacher=HIDDEN_STATES, rounds=Rounds(Cubic, 4)),
        *RECIPE,
        QUICK_RECIPE,
        recipe(EIGHT_IN_FIRST_HALF, warmup=LONG_WARMUP),
        WARMED_UP_RECIPE,
        recipe(Rounds(Cubic, 4)),
    ),
    "recipe": (
        Part((BEST_RECIPE,), (0.9, 0.8, 0.95)),
        Part((replace(BEST_RECIPE, rounds=None), WARMED_UP_RECIPE), (0.9, 0.8, 0.95)),
        Part((BEST_RECIPE,), (0.9, 0.8), seeds=3),
    ),
    "recipe, one change": (
        Part(
            (
                WARMED_UP_RECIPE,
                NORMALIZED_RECIPE,
                replace(WARMED_UP_RECIPE, batch_size=8),
                BEST_RECIPE,
                replace(BEST_RECIPE, in_order=True),
            ),
            (0.9,),
        ),
    ),
    "scores": at_90_then_80(
        ONE_SHOT, *(Ours(criterion=kind) for kind in (Taylor, Wanda, SparseGPT))
    ),
    "allocations": at_90_then_80(
        ONE_SHOT, *(Ours(allocation=kind) for kind in (Global, ERK, LAMP))
    ),
    "teachers": at_90_then_80(
        ONE_SHOT,
        Ours(random_crops=True),
        Ours(teacher=LOGITS),
        DISTILLATION,
        LightningModelPruning(teacher=HIDDEN_STATES),
    ),
    "patterns": (
        Part(
            (Ours(TWO_OF_FOUR), Ours(TWO_OF_FOUR, criterion=SparseGPT, teacher=HIDDEN_STATES)),
            (0.5,),
        ),
    ),
    "structure": (Part(STRUCTURED, (0.25, 0.5)),),
}


def rows_of(*tables: str) -> tuple[Row, ...]:
    """Return the rows of some tables in their order, each once."""
    return tuple(
        dict.fromkeys(row for table in tables for part in TABLES[table] for row in part.rows)
    )


FIGURES: dict[str, tuple[Row, ...]] = {
    "peers": (*OTHERS, MODEL_PRUNING_2, *RECIPE),
    "schedules": rows_of("schedules"),
    "changes": rows_of("scores", "allocations", "teachers", "rounds of the recipe"),
    "structure": STRUCTURED,
}
CURVES: dict[str, tuple[Row, ...]] = {"sparsities": SHORT}  # accuracy over sparsity
LOSSES = (ONE_SHOT, FOUR_ROUNDS, Ours(rounds=EIGHT_IN_FIRST_HALF), Ours(rounds=FIFTY_IN_FIRST_HALF))
