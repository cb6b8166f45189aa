"""The command line: fit, validate, test, predict and the subcommands of `PruningTrainer`."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.optim import Optimizer
from transformers import PreTrainedConfig

from vitprune.cli import folder_commands, folder_parser
from vitprune.cli.arguments import arguments_of, check_sections
from vitprune.cli.errors import explain
from vitprune.cli.finish import finish
from vitprune.cli.help_texts import PROGRAM, PURPOSES, improve, set_texts
from vitprune.cli.latency import prepare_table, table_kept
from vitprune.cli.optimizers import choose_optimization
from vitprune.cli.parser import Parser
from vitprune.cli.progress import Progress
from vitprune.cli.resuming import Resumed, find_resumed
from vitprune.cli.structure import check_structure
from vitprune.cli.subcommands import TRAINER_SUBCOMMANDS, options_of_subcommand
from vitprune.cli.trainer import SCANS, PruningTrainer
from vitprune.cli.trainer_messages import explain_trainer
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.exports.choices import check_max_drop
from vitprune.exports.formats.available import parse_formats
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.config import image_shape
from vitprune.model.trial import why_refused
from vitprune.pruning import IterativePruning
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.loggers import in_run_folder, run_loggers
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.reservation import Reservation
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.commands import RunCommands
from vitprune.training.exact_resume import ExactResume
from vitprune.training.guards import StopOnNaN
from vitprune.training.launchers import check_launcher
from vitprune.training.predictions import Predictions
from vitprune.training.saved_config import SaveConfig
from vitprune.training.throughput import Throughput

# Apple's GPU has no float64, which sums need
ACCELERATOR = "cpu" if torch.backends.mps.is_available() else "auto"
DEFAULTS = {
    "accelerator": ACCELERATOR,
    "log_every_n_steps": 10,
    "use_distributed_sampler": False,  # the data module shards
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,  # the dense model is validated before the first step
}
ONE_SHOT = {"class_path": "vitprune.pruning.OneShot", "init_args": {"final_sparsity": 0.5}}


class PruningCLI(LightningCLI):
    """Lightning's command line with pruning, checkpoints and exports.

    Args:
        command: Command that the user typed.

    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.resumed = Resumed()
        self.reservation: Reservation | None = None
        super().__init__(
            ViTClassifier,
            ImageData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=PruningTrainer,
            trainer_defaults=dict(DEFAULTS),
            seed_everything_default=42,
            parser_class=Parser,
            auto_configure_optimizers=False,
            save_config_callback=SaveConfig,
            parser_kwargs={"description": PROGRAM, "usage": "vitprune SUBCOMMAND [--OPTION VALUE]"},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the subcommands, and the arguments of each that are not options."""
        return TRAINER_SUBCOMMANDS

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the sections that Lightning does not have, and defaults and links of the others."""
        parser.add_argument(
            "--pruning",
            type=IterativePruning | None,
            default=None,
        )
        parser.add_lightning_class_args(RunCheckpoints, "checkpoint")
        parser.add_lightning_class_args(Predictions, "predictions")
        parser.add_optimizer_args((Optimizer,))
        parser.add_lr_scheduler_args()
        parser.link_arguments("data.class_names", "model.init_args.labels", apply_on="instantiate")

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        set_texts(parser)
        subcommands = parser._subcommands_action  # noqa: SLF001
        listed = subcommands._choices_actions  # noqa: SLF001
        # Lightning's help is the first line of a docstring, often half of a sentence
        for entry in listed:
            entry.help = PURPOSES.get(entry.dest, entry.help)
        for name in folder_commands.COMMANDS:  # dispatched before this parser
            purpose = folder_parser.purpose(name)
            listed.append(subcommands._ChoicesPseudoAction(name, (), purpose))  # noqa: SLF001

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand in LightningCLI.subcommands():
            parser.set_defaults(weights_only=True)  # never execute code from a checkpoint
        if subcommand in SCANS:  # one-shot, to sparsities given as options
            parser.set_defaults({"pruning": {"schedule": ONE_SHOT}})
        improve(parser, subcommand)
        return parser

    def _parse_ckpt_path(self) -> None:
        """Do nothing: hyperparameters in a checkpoint must not override the command line."""

    def before_instantiate_classes(self) -> None:
        """Check the checkpoint and formats while that is cheap; complete the configuration."""
        config = self.config[self.subcommand]
        check_sections(config)
        self.resumed = find_resumed(config, self.subcommand)
        config.ckpt_path = self.resumed.ckpt_path
        if config.trainer.barebones and config.pruning:
            config.pruning.monitor = None  # no metrics are logged
        if self.subcommand == "export":
            parse_formats(config.formats, config.dtype)
            check_max_drop(config.max_drop)
        self._given = (config.data.clone(), config.model.clone())
        data = arguments_of(config.data)
        model = arguments_of(config.model)
        if data.get("processor", "") is None:
            data.processor = model.get("pretrained")
        sizes = {data.get("image_size"), model.get("image_size")} - {None}
        if len(sizes) > 1:
            raise UsageError(
                f"data.image_size is {data.image_size}, but model.image_size "
                f"{model.image_size}. Set data.image_size only; the model is adapted to it."
            )
        for arguments in (data, model):
            if sizes and "image_size" in arguments:
                arguments.image_size = max(sizes)

    def after_instantiate_classes(self) -> None:
        """Restore the configuration as the user gave it; check the size of the images."""
        config = self.config[self.subcommand]
        config.data, config.model = self._given
        config.ckpt_path = self.resumed.configured_ckpt_path()
        self._check_image_size()
        if self.subcommand == "fit":
            choose_optimization(self.model, config.optimizer, config.lr_scheduler)

    def _check_image_size(self) -> None:
        height, width = self.datamodule.image_shape
        rank_zero_info(f"Input resolution: {height}x{width}")
        reason = why_refused(self.model.net, height, width)
        if reason is not None:
            raise UsageError(_other_size(self.model.net.config, height, width, reason))

    def instantiate_classes(self) -> None:
        """Build the data module, the model and the Trainer; explain what a constructor refuses."""
        try:
            super().instantiate_classes()
        except UsageError:
            raise
        except (ValueError, TypeError, MisconfigurationException) as error:
            message = explain(str(error), options_of_subcommand(self.subcommand))
            raise UsageError(message) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the loggers, the callbacks and the checkpoint writer."""
        settings = self._get(self.config_init, "trainer")
        pruning = self._get(self.config_init, "pruning")
        callbacks: list[Callback] = [pruning] if pruning else []
        own = _as_list(settings["callbacks"])
        is_bare = settings["barebones"]
        if self.subcommand == "fit":
            has_loggers = settings["logger"] is not False and not is_bare
            kwargs["logger"] = has_loggers  # `before_fit` replaces it
            callbacks = self._training_callbacks(callbacks, has_loggers=has_loggers)
        else:
            kwargs["logger"] = settings["logger"] or False
            self.save_config_callback = None  # only a run saves its configuration
        if is_bare:
            kwargs["log_every_n_steps"] = None
        if is_bare or settings["enable_checkpointing"] is False:
            self.save_config_callback = None
            self._parser(self.subcommand).callback_keys.remove("checkpoint")
        has_bar = any(isinstance(callback, ProgressBar) for callback in own)
        if settings["enable_progress_bar"] is not False and not is_bare and not has_bar:
            callbacks.append(Progress(leave=False))
        # the user's callbacks come last: weight averaging must follow pruning
        kwargs["callbacks"] = [*callbacks, *own]
        kwargs["plugins"] = [*_as_list(settings["plugins"]), AtomicCheckpointIO()]
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise UsageError(explain_trainer(str(error))) from error

    def _training_callbacks(self, pruning: list[Callback], *, has_loggers: bool) -> list[Callback]:
        return [
            *([Throughput()] if has_loggers else []),
            *pruning,
            StopOnNaN(),
            ExactResume(),
            RunCommands(self.command),
            *([LearningRateMonitor(logging_interval="step")] if has_loggers else []),
        ]

    def _loggers(self, run: RunFolder) -> list[Logger]:
        """Return the loggers of a run; `metrics.csv` is written beside those of the user."""
        chosen = self._get(self.config_init, "trainer")["logger"]
        if chosen in (None, True):
            return run_loggers(run)
        settings = _as_list(self._get(self.config, "trainer")["logger"])
        loggers = [
            in_run_folder(type(logger), setting.init_args, run)
            if setting.init_args.get("save_dir") == ""
            else logger
            for logger, setting in zip(_as_list(chosen), settings, strict=True)
        ]
        return [*loggers, MetricsCSV(run)]

    @property
    def _root(self) -> Path:
        """Folder that holds `lightning_logs`."""
        return Path(self._get(self.config, "trainer")["default_root_dir"] or ".")

    def before_fit(self) -> None:
        """Refuse impossible settings before processes are started and a folder is made."""
        check_launcher(self.trainer)
        table = None
        self.datamodule.setup("fit")
        if pruning := self._get(self.config_init, "pruning"):
            pruning.check(self.trainer, self.model)
            table = prepare_table(self.trainer, self.model, pruning, self.resumed.ckpt_path)
            with table_kept(table, self._root):
                check_structure(self.model, pruning, *self.datamodule.image_shape)
        if self.trainer.fast_dev_run:
            return
        self.reservation = Reservation(self._root, self.resumed.run)
        if self.trainer.is_global_zero and self.trainer.checkpoint_callbacks:
            self.reservation.make()
            if table:
                table.write(self.reservation.folder.latency)
        self.trainer.run_folder = self.reservation.folder
        if self.trainer.loggers:
            self.trainer.loggers = self._loggers(self.reservation.folder)

    def fit(self, **arguments: Any) -> None:
        """Train; delete the folder of a new run that is refused before its first step."""
        try:
            self.trainer.fit(**arguments)
        except UsageError:
            if self.reservation and self.trainer.global_step <= self.resumed.step:
                self.reservation.discard()
            raise

    def after_fit(self) -> None:
        """Export the best model at the final sparsity."""
        finish(self.trainer, self.model, self.datamodule, self._get(self.config_init, "pruning"))


def _other_size(config: PreTrainedConfig, height: int, width: int, reason: str) -> str:
    made = f"data.image_size or data.processor makes them {height}x{width}"
    try:
        _, own_height, own_width = image_shape(config)
    except UsageError:
        return f"the model cannot process its images ({reason}); {made}. Set data.image_size."
    return (
        f"the model needs images of {own_height}x{own_width} pixels, but {made} ({reason}). Set "
        f"data.image_size to {own_height} to resize the images, or to {height} to adapt the model."
    )


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
