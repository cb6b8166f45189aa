"""From scores to kept groups, with scores and masks written out."""

import torch

from tests.pruning.layers import kept, layer_of
from vitprune.pruning import Element, Magnitude, Masks, Method, Row, Uniform, Wanda
from vitprune.pruning.candidates import candidate_of
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.decisions import kept_groups
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.partly_pruned import remaining_weights
from vitprune.pruning.update import update_masks

MATRIX = [
    [1, 8, 3],
    [2, 9, 7],
    [4, 5, 6],
]


def masks_of(matrix, pruned=()):
    """Return the masks of a layer with this weight, and the layer; prune the places given."""
    masks = Masks([layer := layer_of(matrix)])
    with masks.changing():
        for place in pruned:
            masks[layer.weight][place] = False
    return masks, layer


def candidate(masks, granularity, criterion, observed=None):
    (tied,) = tie(granularity.groupings(masks.layers))
    scorings = {layer.name: Scoring(layer.name, 1, 42, observed) for layer in masks.layers}
    with torch.no_grad():
        return candidate_of(tied, masks, criterion, scorings)


def test_the_lowest_scores_are_pruned():
    found = candidate(Masks([layer_of(MATRIX)]), Element(), Magnitude())
    (keep,) = kept_groups(found, 4)
    assert keep.view(3, 3).int().tolist() == [[0, 1, 0], [0, 1, 1], [0, 1, 1]]


def test_within_outputs_every_row_loses_as_many():
    found = candidate(Masks([layer_of(MATRIX)]), Element(), Wanda(), torch.ones(3))
    (keep,) = kept_groups(found, 3)
    assert keep.view(3, 3).int().tolist() == [[0, 1, 1], [0, 1, 1], [0, 1, 1]]


def test_pruned_groups_have_the_lowest_score_and_count_as_pruned():
    masks, _ = masks_of(MATRIX, pruned=[1])
    found = candidate(masks, Row(), Magnitude())
    assert found.group_scores[0].tolist() == [12, -torch.inf, 15]
    assert (found.pruned, found.partly_pruned) == (1, False)
    assert kept_groups(found, 2)[0].tolist() == [False, False, True]


def test_weights_pruned_inside_a_surviving_row_are_not_pruned_again():
    masks, _ = masks_of(MATRIX, pruned=[(0, slice(2))])
    found = candidate(masks, Row(), Magnitude())
    assert (found.pruned, found.partly_pruned) == (0, True)
    # scores 3, 18, 15 with 1, 3, 3 weights
    assert remaining_weights(found).tolist() == [7, 6, 3, 0]


def test_weights_pruned_inside_rows_count_towards_the_target():
    """A quarter of the weights is pruned inside two rows; what remains of both makes it half."""
    matrix = [[1, 1, 9, 9], [2, 2, 9, 9], [9, 9, 9, 9], [8, 8, 8, 8]]
    masks, layer = masks_of(matrix, pruned=[(slice(2), slice(2, 4))])
    update_masks(masks, Method(granularity=Row(), allocation=Uniform()), 0.5)
    assert kept(masks, layer) == [[0] * 4, [0] * 4, [1] * 4, [1] * 4]


def test_a_pruned_weight_stays_pruned_however_large_it_is():
    masks, layer = masks_of(MATRIX, pruned=[(1, 1)])  # the largest
    update_masks(masks, Method(), 3 / 9)
    assert kept(masks, layer) == [[0, 1, 1], [0, 0, 1], [1, 1, 1]]
