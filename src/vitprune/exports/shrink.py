"""From zeros to a smaller model with the same logits.

Structure that cannot reach the logits is physically removed: heads, dimensions of heads, MLP
neurons, branches and whole blocks. It is found in the zeros of the weights, whatever set them. All
sums are computed in float64 and rounded once.
"""

import copy

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.analysis import Analysis, analyse, cut
from vitprune.exports.plain import shrink_plainly
from vitprune.exports.stream import without_pruned_channels
from vitprune.exports.trial import restore_types


def shrink(
    net: PreTrainedModel, *, ragged: bool = False, images: Tensor | None = None
) -> PreTrainedModel:
    """Return a smaller model with the same logits; the model itself if nothing can be removed.

    Args:
        net: Pruned model, in evaluation mode; it is not changed.
        ragged: Give each branch its own width. Otherwise all branches have the smallest widths that
            a configuration can express, and narrower branches are zero-padded, so that plain
            `transformers` loads the result.
        images: Images of the trial, (B, channels, height, width); by default one random image.

    Raises:
        UsageError: If no attention or MLP of the model is known.

    """
    narrow = without_pruned_channels(net)
    try:
        analysis = analyse(narrow, images)
    except UsageError as error:
        if narrow is net:
            raise
        raise UsageError(
            "pruned channels of the residual stream cannot be removed, because the code of this "
            f"model fixes its width: {error}"
        ) from error
    net = narrow
    small = shrink_plainly(net, analysis)
    if not ragged:
        return small
    return make_ragged(small, analysis if small is net else analyse(small, images))


def make_ragged(net: PreTrainedModel, analysis: Analysis) -> PreTrainedModel:
    """Return a model whose branches have their own widths; the model itself if none changes.

    Args:
        net: Model; it is not changed.
        analysis: What can be removed from it.

    """
    if all(part.survivors.width == part.width for part in analysis.parts):
        return net
    small = copy.deepcopy(analysis.net)
    cut(small, analysis.parts)
    return restore_types(small, net)
