"""Names of rows, and the budgets that they refuse."""

import pytest

from scripts.study.budget import Budget
from scripts.study.rows.article import Article, relative_amounts
from scripts.study.rows.groups import HEADS_AND_NEURONS, TWO_OF_FOUR
from scripts.study.rows.model_pruning import LightningModelPruning
from scripts.study.rows.ours import Ours
from scripts.study.rows.rounds import Rounds
from scripts.study.rows.torch_pruning import TorchPruning
from scripts.study.tables import TABLES, rows_of
from scripts.study.teacher import HIDDEN_STATES, LOGITS, NORMALIZED
from vitprune.pruning import Cubic, Geometric, Global, SparseGPT, Taylor


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (Ours(), "one-shot magnitude"),
        (Ours(teacher=NORMALIZED, batch_size=8), "normalised distillation, batches of 8"),
        (Ours(criterion=SparseGPT, in_order=True), "SparseGPT, in order"),
        (Ours(teacher=LOGITS), "logit distillation"),
        (
            Ours(
                criterion=SparseGPT,
                teacher=HIDDEN_STATES,
                rounds=Rounds(Cubic, 8, in_first_half=True),
                warmup_fraction=0.25,
                calibration_images=64,
            ),
            "SparseGPT, distillation, 8 cubic rounds in the first half, 25% warm-up, "
            "64 calibration images",
        ),
        (
            Ours(rounds=Rounds(Geometric, 4), rewind_learning_rate=True, random_crops=True),
            "4 geometric rounds, learning-rate rewinding, random crops",
        ),
        (Ours(HEADS_AND_NEURONS, Global, Taylor), "heads and neurons, Global, Taylor"),
        (Ours(TWO_OF_FOUR), "2:4"),
        (Article(rounds=1), "the article, one-shot"),
        (Article(rounds=4), "the article, 4 rounds"),
        (LightningModelPruning(), "ModelPruning"),
        (
            LightningModelPruning(2, rewind_weights=True, teacher=HIDDEN_STATES),
            "ModelPruning, 2 rounds, weight rewinding, distillation",
        ),
        (TorchPruning("Taylor", HIDDEN_STATES), "Torch-Pruning, Taylor, distillation"),
    ],
)
def test_a_name_lists_the_settings(row, name):
    assert row.name == name


def test_rows_of_different_settings_have_different_names():
    rows = rows_of(*TABLES)
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Article(rounds=3), "3 rounds: 4 epochs are not a multiple of 3 rounds. Set --epochs"),
        (LightningModelPruning(4), "4 epochs leave no fine-tuning after the last of 4 rounds"),
        (Ours(rounds=Rounds(Cubic, 9, in_first_half=True)), "need at least 9 steps, .* has 8 for"),
        (Ours(batch_size=24), "of 24 see 192 images, and the budget is 256. Set --images to"),
    ],
)
def test_a_budget_that_is_too_small_is_refused(row, message):
    with pytest.raises(SystemExit, match=message):
        row.check(Budget("digits", "digits", 64, 4))


def test_relative_amounts_reach_the_sparsity_in_equal_increments():
    remaining = 1.0
    for number, amount in enumerate(relative_amounts(0.8, 4), 1):
        remaining *= 1 - amount
        assert remaining == pytest.approx(1 - 0.2 * number)
