"""Models to quantize."""

import torch
from transformers import ViTImageProcessor

from tests.conftest import tiny_net
from tests.exports.runs import digits
from tests.exports.small_nets import linear
from vitprune.exports.exported import Exported
from vitprune.exports.quantization import Quantization
from vitprune.exports.verify import logits
from vitprune.runs.run_folder import ExportFolder


def quantizable(path) -> Exported:
    """A model with zeros; with digits to calibrate and evaluate on."""
    net, folder = tiny_net(), ExportFolder(path)
    weight = linear(net, 0, "mlp_in").weight.data
    weight[weight.abs() < weight.abs().median()] = 0
    net.save_pretrained(folder.path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder.path)
    data = digits(folder.path, max_images={"train": 40, "validation": 50})
    images = next(data.validation_batches(torch.device("cpu")))["pixel_values"]
    limit = Quantization(data, None, accuracy=0.1, max_drop=1.0)
    return Exported(net, net, images, logits(net, images), folder, limit)
