"""What is different about models of timm, which `transformers` wraps."""

from importlib.util import find_spec
from typing import Any

from transformers import PreTrainedConfig

from vitprune.errors import UsageError

MODEL_TYPE = "timm_wrapper"


def is_timm(config: PreTrainedConfig) -> bool:
    """Return whether a configuration is of a model of timm."""
    return config.model_type == MODEL_TYPE


def timm_settings(source: str) -> dict[str, Any] | None:
    """Read `config.json` of a model of timm.

    Args:
        source: Hub name or folder.

    Returns:
        Its content; None if the model is not one of timm.

    Raises:
        OSError: If there is no such file.
        UsageError: If the model is one of timm, and timm is not installed.

    """
    settings, _ = PreTrainedConfig.get_config_dict(source)
    if settings.get("model_type") != MODEL_TYPE:
        return None
    check_installed(source)
    return settings


def check_installed(name: str) -> None:
    """Raise `UsageError` if timm is not installed, which the model of this name needs."""
    if find_spec("timm") is None:
        raise UsageError(
            f"{name!r} is a model of timm, which is not installed. Install it: "
            "pip install 'vitprune[timm]'"
        )
