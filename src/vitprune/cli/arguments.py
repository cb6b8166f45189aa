"""Short forms on a command line: configurations, run folders and checkpoints."""

import json
import shlex
from pathlib import Path

import yaml
from jsonargparse import Namespace

from vitprune.errors import UsageError
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.run_folder import RunFolder, find_last, resolve_checkpoint, run_folders

ROOT = "--trainer.default_root_dir"
CONFIG_FOLDERS = (Path("configs"), Path(__file__).parents[3] / "configs")


def resolve_arguments(arguments: list[str]) -> list[str]:
    """Return a command line with paths in place of short forms.

    `--config NAME` may name a file in `configs/`. `--ckpt_path` may be the folder of a run: its
    last checkpoint for fit, else its best. A checkpoint without `--config` uses the configuration
    of its run.
    """
    words = [word for argument in arguments for word in _split_option(argument)]
    for index, word in enumerate(words[:-1]):
        if word in ("--config", "-c"):
            words[index + 1] = find_config(words[index + 1])
    for index, word in enumerate(words[:-1]):
        if word == "--ckpt_path":
            words[index + 1] = resolve_checkpoint(words[index + 1], words[0])
    checkpoint_path = _option(words, "--ckpt_path")
    if checkpoint_path and not {"--config", "-c"} & set(words):
        if checkpoint_path == "last":
            checkpoint_path = str(find_last(_option(words, ROOT) or "."))
        run = RunFolder.of_checkpoint(Path(checkpoint_path))
        if run and run.config.is_file():
            TrainingCheckpoint.read(checkpoint_path)  # before its configuration is complained about
            words[1:1] = ["--config", _config_of(run, for_fit="fit" in words)]
    return words


def how_to_continue(words: list[str]) -> str:
    """Return what continues a command that failed: it is rerun, or its run resumed.

    Args:
        words: The command line without its program.

    """
    split = [word for argument in words for word in _split_option(argument)]
    root = _option(split, ROOT)
    for index, word in enumerate(split[:-1]):
        if root is None and word in ("--config", "-c"):
            root = _root_in(Path(find_config(split[index + 1])))
    runs = run_folders(Path(root or "."))
    is_saved = words[0] == "fit" and bool(runs) and runs[max(runs)].last.is_file()
    if not is_saved and _option(split, "--ckpt_path") != "last":
        return "rerun the command"
    option = f" {ROOT} {shlex.quote(root)}" if root else ""
    return f"resume from the last checkpoint with: fit --ckpt_path last{option}"


def _root_in(config: Path) -> str | None:
    """Return the folder of runs that a configuration names."""
    trainer = (yaml.safe_load(config.read_text()) or {}).get("trainer") or {}
    return trainer.get("default_root_dir")


def _config_of(run: RunFolder, *, for_fit: bool) -> str:
    """Return the configuration of a run as JSON; for other subcommands without fit's own keys."""
    settings = run.read_config()
    fit_only = () if for_fit else ("ckpt_path", "weights_only")
    kept = {key: value for key, value in settings.items() if key not in fit_only}
    return json.dumps(kept, default=str)  # str for dates, which are not settings


def _split_option(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name in ("--config", "--ckpt_path", ROOT) else [argument]


def _option(words: list[str], name: str) -> str | None:
    return next((words[i + 1] for i in range(len(words) - 2, -1, -1) if words[i] == name), None)


def find_config(name: str) -> str:
    """Return the path of a configuration: as given, or in `configs/`."""
    for path in (Path(name), *(folder / name for folder in CONFIG_FOLDERS)):
        if path.is_file():
            _check_yaml(path)
            return str(path)
    known = sorted({str(p.relative_to(f)) for f in CONFIG_FOLDERS for p in f.rglob("*.yaml")})
    raise UsageError(
        f"there is no configuration {name!r}, neither here nor in configs/. Valid are "
        f"{', '.join(known)}."
    )


def _check_yaml(path: Path) -> None:
    try:
        yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def arguments_of(section: Namespace) -> Namespace:
    """Return the arguments of the class of a section; a class of the user may have none."""
    return section.get("init_args", Namespace())


def check_sections(config: Namespace) -> None:
    """Raise `UsageError` if a section of a configuration is not a mapping."""
    for section in ("model", "data", "trainer"):
        if not isinstance(config[section], Namespace):
            raise UsageError(
                f"{section} must be a mapping of keys to values, not {config[section]!r}."
            )
