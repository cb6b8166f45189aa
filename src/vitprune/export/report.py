"""What an export says about itself: `report.json` and the model card."""

import platform
from importlib.metadata import version
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from vitprune.export.attention import eager_attention
from vitprune.model.blocks import vision_config
from vitprune.pruning import IterativePruning

PACKAGES = ("vitprune", "torch", "lightning", "transformers", "datasets", "torchvision")
NEVER_PRUNED: dict[str, Any] = {"finished": True, "rounds": [], "dense": {}, "dense_zeros": None, "settings": {}}
ACCURACY = "val/accuracy"


def count_flops(net: PreTrainedModel, image_shape: tuple[int, int]) -> int:
    """Return the floating-point operations of one forward pass of one image, as torch counts them."""
    image = torch.zeros(1, vision_config(net.config).num_channels, *image_shape)
    with eager_attention(net), FlopCounterMode(display=False) as counter, torch.no_grad():  # it misses CPU kernels of attention
        net(pixel_values=image)
    return counter.get_total_flops()


def describe_environment(command: str, seed: int | None, device: torch.device) -> dict[str, Any]:
    """Return versions, the device by name, command and seed."""
    cuda = device.type == "cuda"
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "command": command,
        "seed": seed,
    }


def describe_run(checkpoint: dict[str, Any], parameters: int) -> dict[str, Any]:
    """Return what the report says about the run behind a checkpoint of a model with so many parameters."""
    state = checkpoint.get("callbacks", {}).get(IterativePruning.__name__, NEVER_PRUNED)
    accuracy = state["settings"].get("monitor", ACCURACY) == ACCURACY  # earlier checkpoints do not say what they have monitored
    return {
        "finished": state["finished"],
        "base": {
            "accuracy": state["dense"].get(ACCURACY),
            "loss": state["dense"].get("val/loss"),
            "nonzero_parameters": None if state["dense_zeros"] is None else parameters - state["dense_zeros"],
        },
        "rounds": [
            {
                **{key: values[key] for key in ("round", "epoch", "step", "target", "sparsity")},
                "accuracy_pruned": values["pruned"] if accuracy else None,
                "accuracy_finetuned": values["finetuned"] if accuracy else None,
            }
            for values in state["rounds"]
        ],
    }


def summarize(report: dict[str, Any]) -> str:
    """Return what is worth saying about an export, in lines of their own, and a line for each further format."""
    done = "" if report["finished"] else ", before the final sparsity of its schedule"
    pruned, before = report["pruned"], report["base"]["accuracy"]
    dense = "" if before is None else f", {before:.2%} before pruning"
    lines = [
        f"sparsity {report['sparsity']['prunable']:.2%}{done}, validation accuracy {pruned['accuracy']:.2%}{dense}",
        f"{pruned['parameters']:,} of {report['base']['parameters']:,} parameters stored, {pruned['nonzero_parameters']:,} of "
        "them not zero",
        _logits(report["verification"]),
    ]
    lines += [f"{name}: {_describe_format(result)}" for name, result in report["formats"].items()]
    return "\n".join(f"  {line}" for line in lines)


def _describe_format(result: dict[str, Any]) -> str:
    if "note" in result:
        return result["note"]
    size = f"{result['bytes']:,} bytes, " if "bytes" in result else ""
    if "largest_logit_difference" not in result:
        return f"{size}the same weights, bit for bit"
    return f"{size}{_logits(result)}, the same class for {result['top1_agreement']:.1%} of {result['images']} images"


def _logits(comparison: dict[str, Any]) -> str:
    difference = comparison["largest_logit_difference"]
    return f"logits at most {difference:.1g} from the masked model's" if difference else "same logits as the masked model"
