"""The command line: `vitprune fit --config iterative.yaml`, and the same with validate, test, predict and export."""

import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.cli import folder_commands
from vitprune.cli.arguments import resolve_arguments
from vitprune.cli.errors import explain
from vitprune.cli.failures import one_message
from vitprune.cli.finish import finish
from vitprune.cli.measuring_trainer import MEASURING
from vitprune.cli.parser import Parser
from vitprune.cli.quiet import quieten
from vitprune.cli.subcommands import options_of_subcommand
from vitprune.cli.trainer import Progress, PruningTrainer
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.export.formats import parse_formats
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.blocks import vision_config
from vitprune.pruning import IterativePruning
from vitprune.runs.checkpoint_files import VALID, AtomicCheckpointIO, read_checkpoint
from vitprune.runs.commands import command_line
from vitprune.runs.folder import began_from, check_unfinished, find_last, resolve_checkpoint, run_of
from vitprune.runs.loggers import RunLoggers
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.commands import RunCommands
from vitprune.training.exact_resume import ExactResume
from vitprune.training.guards import StopOnNaN
from vitprune.training.predictions import PredictionsCSV
from vitprune.training.saved_config import SaveConfig
from vitprune.training.throughput import Throughput

DEFAULTS = {
    "accelerator": "cpu"
    if torch.backends.mps.is_available()
    else "auto",  # Apple's GPU has no float64, which sums need
    "log_every_n_steps": 10,
    "use_distributed_sampler": False,  # the data module shards
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,  # the dense model is validated before the first step anyway
}


class PruningCLI(LightningCLI):
    """One configuration for every verb.

    Args:
        command: What the user typed.

    """

    def __init__(self, command: str) -> None:
        self.command = command
        super().__init__(
            ViTClassifier,
            ImageData,
            trainer_class=PruningTrainer,
            trainer_defaults=dict(DEFAULTS),
            seed_everything_default=42,
            parser_class=Parser,
            auto_configure_optimizers=False,
            save_config_callback=SaveConfig,
            parser_kwargs={
                "description": f"Prune Vision Transformers. Also: vitprune {'|'.join(folder_commands.COMMANDS)} FOLDER ..."
            },
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Name the verbs, and the arguments of each that are no options."""
        return {
            **LightningCLI.subcommands(),
            **{verb: {"model", "datamodule"} for verb in ("export", *MEASURING)},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add pruning, checkpoints and predictions to model, data and trainer, and link what belongs together."""
        parser.add_argument(
            "--pruning", type=IterativePruning | None, default=None, help="None trains densely."
        )
        parser.add_lightning_class_args(RunCheckpoints, "checkpoint")
        parser.add_lightning_class_args(PredictionsCSV, "predictions")
        parser.link_arguments("data.class_names", "model.labels", apply_on="instantiate")

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand in LightningCLI.subcommands():
            parser.set_defaults(weights_only=True)  # nothing that a checkpoint contains is executed
        if subcommand in MEASURING:  # they prune at once, to sparsities of their own
            once = {"class_path": "vitprune.pruning.OneShot", "init_args": {"final_sparsity": 0.5}}
            parser.set_defaults({"pruning": {"schedule": once}})
        return parser

    def _parse_ckpt_path(self) -> None:
        """Do nothing: hyperparameters in a checkpoint must not override the command line."""

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint, and let the data follow the model's image processor, unless told otherwise."""
        config = self.config[self.subcommand]
        for section in ("model", "data", "trainer"):
            if not isinstance(config[section], Namespace):
                raise UsageError(
                    f"{section} must be a mapping of keys to values, not {config[section]!r}."
                )
        self.continued_run, self.first_step = None, 0
        if config.ckpt_path == "last":
            config.ckpt_path = str(find_last(config.trainer.default_root_dir or "."))
            self.continued_run = (
                run_of(Path(config.ckpt_path)) if self.subcommand == "fit" else None
            )
        if config.ckpt_path:
            config.ckpt_path = resolve_checkpoint(
                config.ckpt_path, self.subcommand
            )  # of a YAML file
            checkpoint = read_checkpoint(
                config.ckpt_path
            )  # refuse what cannot be loaded while that is cheap
            if ImageData.__name__ not in checkpoint:
                raise UsageError(
                    f"{config.ckpt_path!r} is a checkpoint of another Lightning program. {VALID}"
                )
            self.first_step = checkpoint["global_step"]
            if self.continued_run:
                limits = (config.trainer.max_epochs, config.trainer.max_steps)
                check_unfinished(self.continued_run, checkpoint, *limits)
        if self.subcommand == "export":
            parse_formats(config.formats)
        self.given = (config.data.processor, config.model.image_size)
        if config.data.processor is None:
            config.data.processor = config.model.pretrained
        if config.model.image_size is None:
            config.model.image_size = config.data.image_size

    def after_instantiate_classes(self) -> None:
        """Refuse images of a size that the model cannot see; some, as ResNets, see any."""
        config = self.config[self.subcommand]  # which a run saves as it was given
        config.data.processor, config.model.image_size = self.given
        if self.continued_run:  # the checkpoint that it began from
            config.ckpt_path = began_from(self.continued_run)
        given = self.datamodule.image_shape
        rank_zero_info(f"images become {given[0]} x {given[1]} pixels, as the model sees them")
        expected = getattr(vision_config(self.model.net.config), "image_size", given)
        if given != (
            tuple(expected) if isinstance(expected, list | tuple) else (expected, expected)
        ):
            raise UsageError(
                f"the model sees images of {expected} pixels, and data.image_size or "
                f"data.processor make them {given[0]} x {given[1]}."
            )

    def instantiate_classes(self) -> None:
        """Build everything; what a constructor refuses is the user's to mend."""
        try:
            super().instantiate_classes()
        except UsageError:
            raise
        except (ValueError, TypeError, MisconfigurationException) as error:
            message = explain(str(error), options_of_subcommand(self.subcommand))
            raise UsageError(message) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add loggers, callbacks and the checkpoint writer of this program."""
        settings = self._get(self.config_init, "trainer")
        pruning = self._get(self.config_init, "pruning")
        callbacks = [pruning] if pruning else []
        if self.subcommand == "fit":
            callbacks = [
                Throughput(),
                *callbacks,
                StopOnNaN(),
                ExactResume(),
                RunCommands(self.command),
            ]
            self.run_loggers, kwargs["logger"] = None, settings["logger"]
            if kwargs["logger"] in (None, True):
                self.run_loggers = RunLoggers(
                    Path(settings["default_root_dir"] or "."), self.continued_run
                )
                kwargs["logger"] = [self.run_loggers.tensorboard, self.run_loggers.metrics]
            if not kwargs["logger"]:
                raise UsageError(
                    "trainer.logger must not be false: leave it out, as the loggers give a run its "
                    "folder."
                )
            callbacks.append(LearningRateMonitor(logging_interval="step"))
        else:
            kwargs["logger"] = settings["logger"] or False
            self.save_config_callback = None  # only a run has a configuration to save
        if settings["enable_progress_bar"] is not False:
            callbacks.append(Progress(leave=False))
        kwargs["callbacks"] = [
            *callbacks,
            *_as_list(settings["callbacks"]),
        ]  # averages of weights must follow pruning
        kwargs["plugins"] = [*_as_list(settings["plugins"]), AtomicCheckpointIO()]
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        """Refuse what cannot be trained or pruned before processes are started and a folder is made."""
        self.datamodule.setup("fit")
        if pruning := self._get(self.config_init, "pruning"):
            pruning.check(self.trainer, self.model, "fit")
        if self.run_loggers and self.trainer.is_global_zero and not self.trainer.fast_dev_run:
            self.run_loggers.make_folder()

    def fit(self, **arguments: Any) -> None:
        """Train; the new folder of a run that turns out to be impossible before its first step goes away again."""
        try:
            self.trainer.fit(**arguments)
        except UsageError:
            if self.run_loggers and self.trainer.global_step <= self.first_step:
                self.run_loggers.discard_folder()
            raise

    def after_fit(self) -> None:
        """Export the best model at the final sparsity."""
        finish(self.trainer, self.model, self.datamodule, self._get(self.config_init, "pruning"))


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def main(args: list[str] | None = None) -> None:
    """Run a command line; bad input ends in one message and exit code 2."""
    quieten()
    given = sys.argv
    words = given[1:] if args is None else args
    try:
        with one_message(verb=words[0] if words else ""):
            _run(words, given[0])
    finally:
        sys.argv = given


def _run(words: list[str], program: str) -> None:
    if words and words[0] in folder_commands.COMMANDS:
        sys.argv = [program, *words]
        folder_commands.run(words[0], words[1:])
    else:
        sys.argv = [program, *resolve_arguments(words)]
        PruningCLI(command_line([program, *words]))
