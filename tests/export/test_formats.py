"""Every format says the same as the masked model."""

import json
import shutil
from dataclasses import replace

import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_net
from vitprune import load_pruned
from vitprune.errors import UsageError
from vitprune.export import compressed, formats, onnx, pt2, semi_structured
from vitprune.export.exported import Exported
from vitprune.export.formats import FORMATS, parse_formats
from vitprune.export.shrink import shrink
from vitprune.export.verify import logits
from vitprune.model.anatomy.blocks import find_blocks


@pytest.fixture(params=["vit", "deit"])
def exported(request, tmp_path):
    """An uneven model: two heads and 48 neurons in the first block, one and 32 in the second."""
    net = tiny_net(request.param)
    first, second = find_blocks(net)
    first.linear["mlp_in"].weight.data[:16] = 0
    second.linear["mlp_out"].weight.data[:, :32] = 0
    second.linear["attn_out"].weight.data[:, :16] = 0
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small = shrink(net)
    small.save_pretrained(tmp_path)
    return Exported(small, shrink(small, ragged=True), images, logits(net, images), tmp_path)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_a_program_for_torch_alone(exported):
    report = pt2.write(exported)
    program = torch.export.load(exported.folder / "model.pt2").module()
    for batch in (1, 3, 5):
        close(program(exported.images[:batch]), exported.logits[:batch])
    assert report["largest_logit_difference"] < 1e-5
    assert report["top1_agreement"] == 1.0
    weights = sum(parameter.numel() for parameter in program.parameters())
    assert weights == sum(parameter.numel() for parameter in exported.smallest.parameters())


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
@pytest.mark.parametrize("form", [pt2, onnx])
def test_programs_of_any_batch_size_where_one_image_is_compared(exported, form):
    report = form.write(replace(exported, images=exported.images[:1], logits=exported.logits[:1]))
    assert report["largest_logit_difference"] < 1e-5
    program = {pt2: pt2.load, onnx: onnx.Runtime}[form](exported.folder / form.FILE)
    close(program(exported.images), exported.logits)


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_onnx_of_any_batch_size(exported):
    report = onnx.write(exported)
    session = onnxruntime.InferenceSession(
        exported.folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    for batch in (1, 3, 5):
        (result,) = session.run(["logits"], {"pixel_values": exported.images[:batch].numpy()})
        close(torch.from_numpy(result), exported.logits[:batch])
    assert report["largest_logit_difference"] < 1e-5
    assert report["bytes"] == (exported.folder / "model.onnx").stat().st_size
    assert exported.smallest.config._attn_implementation == "sdpa"  # as it was


@pytest.mark.parametrize("exported", ["deit"], indirect=True)
def test_onnx_in_half_precision(exported):
    exported.smallest.half()
    report = onnx.write(exported)
    weights = sum(parameter.numel() for parameter in exported.smallest.parameters())
    assert 0 < report["largest_logit_difference"] < 0.01
    assert (
        report["bytes"] < 2 * weights + 170_000
    )  # the graph itself takes the same whatever the model
    exported.smallest.bfloat16()
    with pytest.raises(UsageError, match="no bfloat16"):
        onnx.write(exported)


def test_the_smallest_model_from_either_file(exported):
    report = compressed.write(exported)
    from_dense = load_pruned(exported.folder)
    (exported.folder / "model.safetensors").unlink()
    from_compressed = load_pruned(exported.folder)
    for net in (from_dense, from_compressed):
        assert [block.widths.neurons for block in find_blocks(net)] == [48, 32]
        assert [block.widths.heads for block in find_blocks(net)] == [2, 1]
        close(logits(net, exported.images), exported.logits)
    assert report["bytes"] == (exported.folder / compressed.FILE).stat().st_size
    shutil.rmtree(exported.folder)
    exported.folder.mkdir()
    with pytest.raises(UsageError, match="is not an export: it has no config.json"):
        load_pruned(exported.folder)
    (exported.folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(UsageError, match="has neither model.safetensors nor"):
        load_pruned(exported.folder)


def test_a_family_that_cannot_be_shrunk_is_loaded_as_it_is(tmp_path):
    net = tiny_net("beit")
    net.save_pretrained(tmp_path)
    assert type(load_pruned(tmp_path)) is type(net)


# ---- compressed

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


# ---- 2:4


def two_of_four(net):
    """Keep the two largest of four consecutive inputs in every linear layer of the blocks."""
    for block in find_blocks(net):
        for module in block.linear.values():
            groups = module.weight.data.view(len(module.weight), -1, 4)
            groups.scatter_(-1, groups.abs().topk(2, dim=-1, largest=False).indices, 0)
    return net


def describe_2_to_4(net, folder):
    images = torch.randn(2, 3, 16, 16)
    net.save_pretrained(folder)
    return semi_structured.write(Exported(net, net, images, logits(net, images), folder))


def test_what_can_be_converted_to_2_to_4(tmp_path):
    net = two_of_four(tiny_net(hidden_size=64, intermediate_size=128))
    report = describe_2_to_4(net, tmp_path)
    assert len(report["layers"]) == 12
    assert report["dense_layers"] == {
        "classifier": "has the shape (10, 64), not multiples of (32, 64)"
    }
    assert report["converted"] == (semi_structured.missing_gpu() is None)
    find_blocks(net)[1].linear["key"].weight.data[5, 8:11] = 1
    report = describe_2_to_4(net, tmp_path)
    assert (
        report["dense_layers"]["vit.layers.1.attention.k_proj"]
        == "has 3 weights in some group of 4, more than 2"
    )
    assert len(report["layers"]) == 11


@pytest.mark.skipif(torch.cuda.is_available(), reason="says so only where there is no GPU")
def test_without_a_gpu_2_to_4_says_so(tmp_path):
    report = describe_2_to_4(two_of_four(tiny_net(hidden_size=64, intermediate_size=128)), tmp_path)
    assert report["note"].startswith("there is no CUDA GPU")


@pytest.mark.skipif(
    semi_structured.missing_gpu() is not None, reason="needs a GPU with sparse tensor cores"
)
def test_on_a_gpu_2_to_4_gives_the_same_logits(tmp_path):
    report = describe_2_to_4(two_of_four(tiny_net(hidden_size=64, intermediate_size=128)), tmp_path)
    assert report["converted"]
    assert report["largest_logit_difference"] < 0.05


def test_without_2_to_4_masks_there_is_nothing_to_convert(tmp_path):
    with pytest.raises(
        UsageError, match=r"no layer is 2:4 sparse; .*q_proj has 4 weights .* NofM\(2, 4\)"
    ):
        describe_2_to_4(tiny_net(hidden_size=64, intermediate_size=128), tmp_path)


# ---- names


def test_formats_by_name(monkeypatch):
    assert parse_formats("hf") == []
    assert parse_formats("onnx, hf,pt2,onnx") == ["onnx", "pt2"]
    assert set(FORMATS) == {"pt2", "onnx", "compressed", "semi_structured"}
    with pytest.raises(
        UsageError,
        match="'onxx' is not known. Valid are hf, pt2, onnx, compressed, semi_structured",
    ):
        parse_formats("hf,onxx")
    monkeypatch.setattr(
        formats, "find_spec", lambda name: None
    )  # as if the extra were not installed
    with pytest.raises(
        UsageError,
        match=r"needs onnx, onnxscript, onnxruntime: pip install onnx onnxscript onnxruntime",
    ):
        parse_formats("onnx")
