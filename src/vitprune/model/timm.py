"""Models of timm, which `transformers` wraps: their settings and names of parameters."""

from importlib.util import find_spec
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError

MODEL_TYPE = "timm_wrapper"


def is_timm(config: PreTrainedConfig) -> bool:
    """Return whether a configuration is of a model of timm."""
    return config.model_type == MODEL_TYPE


def names_on_disk(net: PreTrainedModel) -> dict[str, Tensor]:
    """Return the state of a model by the names in its file: timm's lack the wrapper's prefix."""
    prefix = f"{net.base_model_prefix}." if is_timm(net.config) else ""
    return {name.removeprefix(prefix): value for name, value in net.state_dict().items()}


def timm_settings(source: str) -> dict[str, Any] | None:
    """Read `config.json` of a model of timm.

    Args:
        source: Hub name or folder.

    Returns:
        The content; None if it is not a model of timm.

    Raises:
        OSError: If there is no such file.
        UsageError: If it is a model of timm, and timm is not installed.

    """
    settings, _ = PreTrainedConfig.get_config_dict(source)
    if settings.get("model_type") != MODEL_TYPE:
        return None
    check_installed(source)
    return settings


def name_on_hub(name: str) -> str | None:
    """Return the hub name of a pretrained model of timm; None if timm knows no such name.

    Examples:
        >>> name_on_hub("deit_tiny_patch16_224")
        'timm/deit_tiny_patch16_224.fb_in1k'

    """
    if "/" in name or find_spec("timm") is None:
        return None
    import timm  # an extra

    try:
        known = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        return None
    return f"timm/{known.architecture}.{known.tag}" if known and known.tag else None


def check_installed(name: str) -> None:
    """Raise `UsageError` if timm is not installed, which the model of this name needs."""
    if find_spec("timm") is None:
        raise UsageError(
            f"{name!r} is a model of timm, which is not installed. Run pip install timm."
        )
