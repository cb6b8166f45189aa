"""Attention as plain matrix products, for tools that look at single operations."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel


@contextmanager
def eager_attention(net: PreTrainedModel) -> Iterator[None]:
    """Compute attention without fused kernels until the block ends."""
    implementation = _attention_of(net)
    net.set_attn_implementation("eager")
    try:
        yield
    finally:
        net.set_attn_implementation(implementation)


def _attention_of(net: PreTrainedModel) -> str:
    """Return the name of the attention in use; `transformers` has no public way to ask for it."""
    return net.config._attn_implementation  # noqa: SLF001
