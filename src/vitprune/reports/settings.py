"""The settings of a run, in words."""

from collections.abc import Mapping

from vitprune.runs.run_config import RunConfig

MODEL = (
    "pretrained",
    "architecture",
    "learning_rate",
    "weight_decay",
    "layer_decay",
    "label_smoothing",
)
DATA = ("source", "subset", "batch_size", "max_images", "image_size")
TRAINER = (
    "max_epochs",
    "max_steps",
    "precision",
    "gradient_clip_val",
    "accumulate_grad_batches",
)


def chosen_settings(config: RunConfig) -> list[tuple[str, str]]:
    """Return the name and value of the main settings that are set, and of all of `pruning`."""
    pruning = config.pruning or {}
    return [
        *_section("model", config.model.init_args, MODEL),
        *_section("data", config.data.init_args, DATA),
        *_section("trainer", config.trainer, TRAINER),
        *_section("pruning", pruning, tuple(pruning)),
    ]


def _section(
    section: str, values: Mapping[str, object], names: tuple[str, ...]
) -> list[tuple[str, str]]:
    return [
        (f"{section}.{name}", in_words(values[name]))
        for name in names
        if values.get(name) is not None
    ]


def in_words(value: object) -> str:
    """Return a value; of a configured object, its class and the options that are set."""
    if not isinstance(value, dict):
        return str(value)
    kind = value.get("class_path", "").rpartition(".")[2]
    options = value.get("init_args", {}) if kind else value
    given = ", ".join(
        f"{name} {in_words(option)}"
        for name, option in options.items()
        if option is not None and option != []
    )
    return f"{kind} ({given})" if kind and given else kind or given
