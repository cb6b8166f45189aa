"""Exported folders back into models."""

from pathlib import Path

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.export import compressed
from vitprune.export.shrink import shrink
from vitprune.model.anatomy.blocks import NARROW_FAMILIES
from vitprune.model.loading import net_from_config

WEIGHTS = "model.safetensors"


def load_pruned(folder: str | Path) -> PreTrainedModel:
    """Load the smallest model that an exported folder holds: each block with widths of its own,
    same logits.

    Args:
        folder: What `vitprune export` wrote, or any folder of a Hugging Face ViT.
            `model.compressed.safetensors` is enough if `model.safetensors` is not there.

    Returns:
        The model in evaluation mode, in the type of the stored weights.

    Raises:
        UsageError: If the folder holds no such model.

    """
    net = load_stock(Path(folder))
    return shrink(net, ragged=True) if net.config.model_type in NARROW_FAMILIES else net


def load_stock(folder: Path) -> PreTrainedModel:
    """Load the model of a folder as plain `transformers` does; see `load_pruned`."""
    if not (folder / "config.json").is_file():
        raise UsageError(f"{str(folder)!r} is not an export: it has no config.json.")
    if not (folder / WEIGHTS).is_file() and not (folder / compressed.FILE).is_file():
        raise UsageError(
            f"{str(folder)!r} is not an export: it has neither {WEIGHTS} nor {compressed.FILE}."
        )
    try:
        if (folder / WEIGHTS).is_file():
            return AutoModelForImageClassification.from_pretrained(folder)
        config = AutoConfig.from_pretrained(folder)
        state = compressed.restore(folder / compressed.FILE)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UsageError(
            f"{str(folder)!r} holds no image classifier that can be loaded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    net = net_from_config(config).to(next(iter(state.values())).dtype)
    net.load_state_dict(state)
    return net.eval()
