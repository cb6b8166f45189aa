"""Help texts in place of those that Lightning, torch and the parser generate."""

from argparse import ArgumentParser
from collections.abc import Mapping

PROGRAM = (
    "Prune Vision Transformers during fine-tuning; export, evaluate and compare them. Begin with: "
    "vitprune fit --config iterative.yaml. For a faster model of your own: vitprune fit --config "
    "imagenette_deit_tiny_shrunk.yaml --model.pretrained MODEL_FOLDER --data.source IMAGE_FOLDER"
)
KEYS = (
    "--model.help, --data.help and --pruning.help list the keys of a section, and "
    "--pruning.criterion.help SparseGPT the settings of a class."
)
PURPOSES = {
    "fit": "Prune and fine-tune a model, then export the best checkpoint.",
    "validate": "Evaluate a model on the validation images.",
    "test": "Evaluate a model on the test images.",
    "predict": "Classify images; the result is a CSV file or JSON lines.",
}
USAGE = """vitprune {} [--config FILE] [--OPTION VALUE] [--model.KEY VALUE]
       [--data.KEY VALUE] [--pruning.KEY VALUE] [--trainer.KEY VALUE]"""
# titles of groups, by their first option
TITLES = {
    "trainer": "Lightning's Trainer",
    "optimizer": "Optimizer; by default AdamW with the learning rate and weight decay of --model",
    "lr_scheduler": "Learning-rate scheduler; by default linear warm-up and cosine decay",
}
OPTIONS = {
    "config": "Configuration in YAML, a path or a name in configs/. Several are merged; the later "
    "one wins.",
    "print_config": "Print the whole configuration and exit; --print_config=skip_default leaves "
    "out the defaults.",
    "seed_everything": "Seed of all random numbers; true chooses one at random.",
}
OPTIONS_OF_LIGHTNING = {
    "verbose": "Whether to print the metrics.",
    "return_predictions": "Whether to keep the predictions in memory.",
    "weights_only": "Whether to refuse checkpoints with Python objects, whose loading can execute "
    "code.",
}
RESUMED = (
    "Checkpoint to resume: a file, the folder of a run, or `last` for the newest run. Without "
    "--config, the configuration of its run is used."
)
PRUNING = {
    "fit": "Pruning callback; null trains the dense model.",
    "sensitivity": "Pruning settings, of which criterion, granularity, layers, calibration_images "
    "and seed are used.",
    "sweep": "Pruning settings, of which layers, calibration_images and seed are used.",
    "histograms": "Pruning settings, of which calibration_images and seed are used.",
}
NOT_PRUNED = "Pruning callback of the run; only fit prunes."
EVALUATED = (
    "Checkpoint to load: a file, or the folder of a run for its best one. Without --config, the "
    "configuration of its run is used."
)


def improve(parser: ArgumentParser, subcommand: str) -> None:
    """Replace usage and texts of a subcommand with a configuration, and order its options.

    Its own options come first, those of Lightning's Trainer last.

    Args:
        parser: Parser of the subcommand.
        subcommand: Its name.

    """
    texts = dict(OPTIONS)
    if subcommand in PURPOSES:
        parser.description = PURPOSES[subcommand]
        texts |= OPTIONS_OF_LIGHTNING
        texts["ckpt_path"] = RESUMED if subcommand == "fit" else EVALUATED
    texts["pruning"] = PRUNING.get(subcommand, NOT_PRUNED)
    parser.usage = USAGE.format(subcommand)
    parser.description = f"{parser.description} {KEYS}"
    set_texts(parser, texts)
    groups = parser._action_groups  # noqa: SLF001
    for group in groups:
        first = next((action.dest for action in group._group_actions), "")  # noqa: SLF001
        group.title = TITLES.get(first.partition(".")[0], group.title)
    name_own_options(parser, subcommand)
    groups.sort(key=lambda group: group.title == TITLES["trainer"])


def name_own_options(parser: ArgumentParser, subcommand: str) -> None:
    """Move the options that were added last, those of the subcommand itself, to the front."""
    groups = parser._action_groups  # noqa: SLF001
    own = groups.pop()
    own.title = f"Options of {subcommand}"
    groups.insert(0, own)


def set_texts(parser: ArgumentParser, texts: Mapping[str, str] = OPTIONS) -> None:
    """Replace the help texts of the options that are named."""
    for action in parser._actions:  # noqa: SLF001
        action.help = texts.get(action.dest, action.help)
