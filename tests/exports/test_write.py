"""The weights in the file are those of the pruned model."""

import pytest
import torch
from transformers import AutoConfig

from tests.conftest import tiny_net
from vitprune.exports.choices import Choices
from vitprune.exports.write import write_weights
from vitprune.model.loading import net_from_config
from vitprune.pruning.sparsity import measure
from vitprune.runs.run_folder import ExportFolder


@pytest.mark.parametrize("family", ["levit"])
def test_running_means_are_no_zeros_of_the_weights(tmp_path, family):
    """They begin as zeros, and are no parameters."""
    sizes = {
        "image_size": 16,
        "hidden_sizes": [16, 16, 16],
        "key_dim": [8, 8, 8],
        "depths": [1, 1, 1],
    }
    config = AutoConfig.for_model(family, **sizes, num_attention_heads=[1, 1, 1])
    net = net_from_config(config).eval()
    zeros = measure(net).zeros
    folder = ExportFolder(tmp_path)
    written = write_weights(net, zeros, folder, torch.randn(2, 3, 16, 16), Choices())
    assert written.verification.zeros_in_file == zeros


def test_another_number_of_zeros_is_an_error(tmp_path):
    net = tiny_net()
    zeros = measure(net).zeros + 1
    with pytest.raises(RuntimeError, match=f"{zeros - 1} zeros, the pruned model {zeros}"):
        write_weights(net, zeros, ExportFolder(tmp_path), torch.randn(2, 3, 16, 16), Choices())
