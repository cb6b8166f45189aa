"""Attention as plain matrix products, for what looks at operations one by one."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel


@contextmanager
def eager_attention(net: PreTrainedModel) -> Iterator[None]:
    """Let a model compute its attention without fused kernels for a while."""
    implementation = net.config._attn_implementation
    net.set_attn_implementation("eager")
    try:
        yield
    finally:
        net.set_attn_implementation(implementation)
