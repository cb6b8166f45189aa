"""Proof that the parameters of a residual stream are those that write and read its channels.

Half of the channels are pruned. Then the columns that read them may have any values, as the stream
is zero there: if a logit changes, something unknown writes to the stream. The entries that write to
them may have any values as well, if nothing reads them: if a logit changes, something unknown does.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.stream import Stream
from vitprune.model.channels import KeptChannels


@torch.no_grad()
def check_stream(stream: Stream, logits: Callable[[], Tensor]) -> None:
    """Check that no other parts of a model write to its residual stream or read it.

    The weights are restored.

    Cost: three forward passes.

    Args:
        stream: The residual stream. Its parameters must not be sharded.
        logits: Runs the model in evaluation mode and returns its logits, or its loss.

    Raises:
        UsageError: If other parts do.

    """
    kept = torch.arange(stream.channels, device=stream.first_norm.parameter.device) % 2 == 0
    before = [(entries.parameter, entries.parameter.clone()) for entries in stream.entries]
    norms = list(stream.norms.values())
    channels = KeptChannels.of(norms[0])
    try:
        KeptChannels(kept).attach(norms)
        _fill(stream, kept, reads=True, zero=True)
        _fill(stream, kept, reads=False, zero=True)
        pruned = logits()
        _fill(stream, kept, reads=True, zero=False)
        _check_equal(pruned, logits(), "writes to")
        _fill(stream, kept, reads=True, zero=True)
        _fill(stream, kept, reads=False, zero=False)
        _check_equal(pruned, logits(), "reads")
    finally:
        for parameter, value in before:
            parameter.copy_(value)
        (channels or KeptChannels(torch.ones_like(kept))).attach(norms)


def _fill(stream: Stream, kept: Tensor, *, reads: bool, zero: bool) -> None:
    """Give the pruned entries that read, or that write, zeros or random values."""
    generator = torch.Generator().manual_seed(0)
    for entries in stream.entries:
        if entries.reads == reads:
            view = entries.by_channel(entries.parameter)
            values = torch.randn(view[~kept].shape, generator=generator) * (not zero)
            view[~kept] = values.to(view.device, view.dtype)


def _check_equal(before: Tensor, after: Tensor, does: str) -> None:
    """Compare logits that differ by products with zero at most, which are exact."""
    if not torch.equal(before, after):
        raise UsageError(
            f"a part of the model that vitprune does not know {does} the residual stream, so that "
            "its channels cannot be pruned. Use another granularity, such as Neuron."
        )
