"""The structure that can be removed from a model, as a granularity."""

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.shrinking.prospects import find_prospects
from vitprune.pruning import Combined, Granularity, Head, HeadDim, LayerSelection, Neuron


def removable(net: PreTrainedModel, image: Tensor) -> Granularity:
    """Return the structure of a model that can be removed.

    Dimensions of heads rather than heads, as there are more of them, and the same share in every
    layer, so that plain loading builds the smaller model where the configuration can express it.

    Raises:
        UsageError: If neither heads nor neurons can be removed.

    """
    heads = find_prospects(net, image, neurons=False).stays
    neurons = find_prospects(net, image, heads=False).stays
    found: list[Granularity] = []
    if heads is None:
        dims = HeadDim(loadable=True)
        found.append(dims if _shrinks(dims, net) else Head())
    if neurons is None:
        found.append(Neuron(loadable=True))
    if not found:
        raise UsageError(
            f"neither heads nor neurons of this model can be removed: {heads} {neurons}"
        )
    return Combined(found)


def _shrinks(granularity: Granularity, net: PreTrainedModel) -> bool:
    """Return whether pruning by a granularity makes a model smaller."""
    try:
        groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    except UsageError:
        return False
    return all(grouping.dimension for grouping in groupings)
