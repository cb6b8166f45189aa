"""Load exported folders."""

from pathlib import Path

from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports import compressed
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.shrinking.stream import fit_to_state, load_narrow
from vitprune.model.config_files import ModelFile
from vitprune.model.loading import CANNOT_BUILD, net_from_config
from vitprune.model.timm import timm_settings
from vitprune.model.trial import first_line
from vitprune.runs.readable import check_readable
from vitprune.runs.run_folder import ExportFolder, RunFolder
from vitprune.runs.typed_json import read_json

EXAMPLE = "the folder of an export, such as lightning_logs/version_N/export"


def load_pruned(folder: str | Path) -> PreTrainedModel:
    """Load the smallest model with the logits of an export: each block has its own widths.

    Args:
        folder: Export, or any folder of an image classifier. Without `model.safetensors`,
            `model.compressed.safetensors` is loaded.

    Returns:
        The model in evaluation mode, in the type of the stored weights.

    Raises:
        UsageError: If the folder holds no such model.

    """
    net = load_stock(folder)
    try:
        return shrink(net, ragged=True)
    except UsageError:  # no attention or MLP is known
        return net


def load_stock(folder: str | Path) -> PreTrainedModel:
    """Load the model of a folder as plain `transformers` does; see `load_pruned`."""
    export = ExportFolder(Path(folder))
    _check_files(export)
    try:
        return _load(export)
    except CANNOT_BUILD as error:
        reason = first_line(error)
        raise UsageError(
            f"{str(folder)!r} holds no image classifier that can be loaded: {reason}"
        ) from error


def _load(export: ExportFolder) -> PreTrainedModel:
    timm_settings(str(export.path))  # refuses a model of timm if that is not installed
    if not export.weights.is_file():
        config = AutoConfig.from_pretrained(export.path)
        state = compressed.restore(export.compressed)
        net = net_from_config(config).to(next(iter(state.values())).dtype)
        fit_to_state(net, state)
        net.load_state_dict(state)
        return net.eval()
    if (narrow := load_narrow(export)) is not None:
        return narrow
    net, found = AutoModelForImageClassification.from_pretrained(
        export.path, output_loading_info=True
    )
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"{export.weights.name} lacks {len(missing)} weights, as {missing[0]}")
    return net


def _check_files(export: ExportFolder) -> None:
    if not export.config.is_file():
        inner = RunFolder(export.path).export
        right = repr(str(inner.path)) if inner.config.is_file() else EXAMPLE
        raise UsageError(
            f"{str(export.path)!r} is not an export: it has no {export.config.name}. Use {right}."
        )
    if not export.weights.is_file() and not export.compressed.is_file():
        raise UsageError(
            f"{str(export.path)!r} is not an export: it has neither {export.weights.name} nor "
            f"{export.compressed.name}. Use {EXAMPLE}."
        )
    read_json(export.config, ModelFile)
    check_readable(export.weights if export.weights.is_file() else export.compressed)
