"""What costs depend on the channels of the residual stream, outside of attentions and MLPs."""

from collections.abc import Iterable, Sequence

from vitprune.model.anatomy.records import Branch
from vitprune.model.anatomy.stream import Entries
from vitprune.pruning.budget.pieces import STREAM, Factors
from vitprune.pruning.granularity.grouping import Grouping


def stream_factors(
    groupings: Iterable[Grouping], branches: Sequence[Branch]
) -> list[tuple[Entries, Factors]]:
    """Return the parameters that become smaller with the channels, each once, and how.

    Args:
        groupings: What is pruned; without a grouping of channels nothing is returned.
        branches: Attentions and MLPs whose layers are left out, as their costs are known.

    """
    known = {name for branch in branches for name in branch.roles}
    found: dict[str, list[Entries]] = {}
    for grouping in groupings:
        if grouping.companions and (stream := grouping.layers[0].stream):
            for entries in stream.entries:
                if entries.layer_name not in known:
                    found.setdefault(entries.name, []).append(entries)
    return [(entries[0], STREAM * len(entries)) for entries in found.values()]
