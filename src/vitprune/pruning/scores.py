"""Importance scores of groups: a criterion scores weights, each group gets one score."""

from collections.abc import Mapping

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.pruning.granularity.grouping import Grouping


def score_groups(
    grouping: Grouping, criterion: Criterion, scorings: Mapping[str, Scoring]
) -> Tensor:
    """Return the score of each group, (G,), higher = keep.

    Args:
        grouping: Groups of weights.
        criterion: Scores their weights.
        scorings: What the criterion knows about each layer, by name.

    Raises:
        UsageError: If a score is NaN.

    """
    scores = criterion.score_groups(grouping, scorings)
    if scores.sum().isnan():  # the quickest way to see a single one
        raise UsageError(
            f"{' and '.join(layer.name for layer in grouping.layers)}: NaN weights or scores "
            "cannot be ranked. Check whether training diverged."
        )
    return scores
