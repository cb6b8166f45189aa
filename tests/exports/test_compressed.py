"""Compression restores every bit, and saves what it promises."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprune.exports import compressed

TENSORS = st.tuples(
    st.lists(st.integers(0, 6), max_size=3),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.floats(0, 1),
    st.integers(0, 2**16),
)


@settings(max_examples=100, deadline=None)
@given(tensors=st.lists(TENSORS, min_size=1, max_size=4))
def test_compression_restores_every_bit(tmp_path_factory, tensors):
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    state = {}
    for number, (shape, dtype, density, seed) in enumerate(tensors):
        generator = torch.Generator().manual_seed(seed)
        value = torch.randn(shape, generator=generator).where(
            torch.rand(shape, generator=generator) < density, 0.0
        )
        value[torch.rand(shape, generator=generator) < 0.05] = -0.0
        value[torch.rand(shape, generator=generator) < 0.05] = float("nan")
        state[f"layer.{number}.weight"] = value.to(dtype)
    compressed.compress(state, file)
    restored = compressed.restore(file)
    assert restored.keys() == state.keys()
    for name, value in state.items():
        assert restored[name].dtype == value.dtype
        assert restored[name].shape == value.shape
        assert bytes(restored[name].untyped_storage()) == bytes(
            value.contiguous().untyped_storage()
        )


def test_a_sparse_file_is_small(tmp_path):
    weight = torch.randn(400, 1000).where(torch.rand(400, 1000) < 0.1, 0.0)
    compressed.compress({"weight": weight, "dense": torch.randn(100)}, tmp_path / "sparse")
    expected = 4 * int(weight.count_nonzero()) + 400 * 1000 // 8 + 400
    assert expected < (tmp_path / "sparse").stat().st_size < expected + 1000
