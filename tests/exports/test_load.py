"""Exports are loaded as the smallest model with the same logits."""

import json

import pytest
import torch

from tests.exports.small_nets import tiny_resnet
from vitprune import load_pruned
from vitprune.errors import UsageError
from vitprune.exports.formats.compressed import Compressed
from vitprune.exports.shrinking.shrinkage import widths_of_blocks
from vitprune.exports.verify import logits


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_the_smallest_model_from_either_file(exported):
    report = Compressed().write(exported)
    from_dense = load_pruned(exported.folder.path)
    exported.folder.weights.unlink()
    from_compressed = load_pruned(exported.folder.path)
    for net in (from_dense, from_compressed):
        assert [block.neurons for block in widths_of_blocks(net)] == [48, 32]
        assert [block.heads for block in widths_of_blocks(net)] == [2, 1]
        close(logits(net, exported.images), exported.logits)
    assert report.bytes == exported.folder.compressed.stat().st_size
    assert report.lossless


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not an export: it has no config.json"):
        load_pruned(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(UsageError, match="has neither model.safetensors nor"):
        load_pruned(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no image classifier that can be loaded"):
        load_pruned(tmp_path)


def test_a_family_that_cannot_be_shrunk_is_loaded_as_it_is(tmp_path):
    net = tiny_resnet()
    net.save_pretrained(tmp_path)
    assert type(load_pruned(tmp_path)) is type(net)
