"""From zeros to a smaller model with the same logits.

Structure that cannot reach the logits is physically removed: heads, dimensions of heads, MLP
neurons, branches and whole blocks. It is found in the zeros of the weights, whatever set them. All
sums are computed in float64 and rounded once.
"""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.shrinking.analysis import Analysis, analyse
from vitprune.exports.shrinking.cut import cut
from vitprune.exports.shrinking.plain import shrink_plainly
from vitprune.exports.shrinking.stream import without_pruned_channels
from vitprune.exports.shrinking.trial import copy_modules, restore_types


@dataclass(frozen=True)
class Smaller:
    """A model without its dead structure. Models may share tensors that are the same.

    Attributes:
        plain: The smallest model that plain loading builds; the model itself if no configuration
            expresses a smaller one.
        ragged: The same function, each branch with its own width; `plain` if that saves nothing.
        left: Why attentions or MLPs keep their width, by kind of module.

    """

    plain: PreTrainedModel
    ragged: PreTrainedModel
    left: dict[str, str]


def shrink(
    net: PreTrainedModel, *, ragged: bool = False, images: Tensor | None = None
) -> PreTrainedModel:
    """Return a smaller model with the same logits; the model itself if nothing can be removed.

    Args:
        net: Pruned model, in evaluation mode; it is not changed, but the result may share tensors
            with it.
        ragged: Give each branch its own width. Otherwise all branches have the smallest widths that
            a configuration can express, and narrower branches are zero-padded, so that plain
            `transformers` loads the result.
        images: Images of the trial, (B, channels, height, width); by default one random image.

    Raises:
        UsageError: If no attention or MLP of the model is known.

    """
    smaller = shrink_both(net, images)
    return smaller.ragged if ragged else smaller.plain


def shrink_both(net: PreTrainedModel, images: Tensor | None = None) -> Smaller:
    """Return the smaller models with the same logits, plain and ragged; see `shrink`."""
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
    plain = shrink_plainly(analysis)
    ragged = _make_ragged(plain)
    small = narrow if plain is analysis else restore_types(plain.net, net)
    return Smaller(small, small if ragged is None else restore_types(ragged, net), analysis.left)


def _make_ragged(analysis: Analysis) -> PreTrainedModel | None:
    """Return a model whose branches have their own widths; None if none changes."""
    narrower = [part for part in analysis.parts if part.is_narrower]
    if not narrower:
        return None
    small = copy_modules(analysis.net)
    cut(small, narrower)
    return small
