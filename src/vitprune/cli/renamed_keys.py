"""Configuration keys that were renamed."""

RENAMED = {
    "data.crop_scale": "data.augmentation.crop_scale",
    "data.horizontal_flip": "data.augmentation.horizontal_flip",
    "data.randaugment": "data.augmentation.randaugment",
    "data.random_erasing": "data.augmentation.random_erasing",
    "data.mixup": "data.augmentation.mixup",
    "data.cutmix": "data.augmentation.cutmix",
    "data.image_column": "data.columns.image",
    "data.label_column": "data.columns.label",
    "data.label_names": "data.columns.class_names",
    "data.mean": "data.normalization.mean",
    "data.std": "data.normalization.std",
    "data.validation_fraction": "data.split.validation_fraction",
    "data.split_seed": "data.split.seed",
    "data.shuffle_buffer": "data.streaming.shuffle_buffer",
    "pruning.schedule.begin_epoch": "pruning.schedule.begin",
    "pruning.schedule.begin_step": "pruning.schedule.begin",
    "pruning.schedule.end_epoch": "pruning.schedule.end",
    "pruning.schedule.end_step": "pruning.schedule.end",
    "pruning.schedule.every_n_epochs": "pruning.schedule.every",
    "pruning.schedule.every_n_steps": "pruning.schedule.every",
    "pruning.schedule.epoch": "pruning.schedule.begin",
    "pruning.schedule.step": "pruning.schedule.begin",
    "pruning.granularity.uniform": "pruning.granularity.loadable",
}
# keys of a schedule in steps, which is now set by `pruning.schedule.unit`
IN_STEPS = {
    "pruning.schedule.begin_step",
    "pruning.schedule.end_step",
    "pruning.schedule.every_n_steps",
    "pruning.schedule.step",
}


def explain_renamed(key: str) -> str | None:
    """Return a sentence that names the new key, None if the key was not renamed."""
    if key not in RENAMED:
        return None
    unit = " with pruning.schedule.unit step" if key in IN_STEPS else ""
    return f"{key} was renamed. Use {RENAMED[key]}{unit}."
