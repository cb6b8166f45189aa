"""Where runs live, and what the words of a command line mean in their terms."""

import json
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError

LOGS = "lightning_logs"
CONFIG_FOLDERS = (Path("configs"), Path(__file__).parents[2] / "configs")


def resolve_arguments(arguments: list[str]) -> list[str]:
    """Return a command line with paths in place of short forms.

    `--config NAME` may be a file in `configs/`; `--ckpt_path` may be the folder of a run, which means its best checkpoint or,
    for fit, its last; a checkpoint without a configuration brings that of its run.
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
            checkpoint_path = str(find_last(_option(words, "--trainer.default_root_dir") or "."))
        run = run_of(Path(checkpoint_path))
        if run and (run / "config.yaml").is_file():
            words[1:1] = ["--config", _config_of(run, fit="fit" in words)]
    return words


def resolve_checkpoint(path: str, verb: str) -> str:
    """Return the path of a checkpoint; for the folder of a run its last one to go on with, and else its best."""
    if not (Path(path) / "checkpoints").is_dir():
        return path
    return str(checkpoint_of(Path(path), "last" if verb == "fit" else "best"))


def _config_of(run: Path, fit: bool) -> str:
    """Return the configuration of a run; for another verb than fit, without what only fit understands."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    return json.dumps({key: value for key, value in settings.items() if fit or key not in ("ckpt_path", "weights_only")})


def began_from(run: Path) -> str | None:
    """Return the checkpoint that a run began from, if it did not begin afresh."""
    file = run / "config.yaml"
    return yaml.safe_load(file.read_text())["ckpt_path"] if file.is_file() else None


def _split_option(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name in ("--config", "--ckpt_path", "--trainer.default_root_dir") else [argument]


def _option(words: list[str], name: str) -> str | None:
    return next((words[i + 1] for i in range(len(words) - 2, -1, -1) if words[i] == name), None)


def find_config(name: str) -> str:
    """Return the path of a configuration: where it is named, or in `configs/`."""
    for path in (Path(name), *(folder / name for folder in CONFIG_FOLDERS)):
        if path.is_file():
            _check_yaml(path)
            return str(path)
    known = sorted({str(p.relative_to(f)) for f in CONFIG_FOLDERS for p in f.rglob("*.yaml")})
    raise UsageError(f"there is no configuration {name!r}, neither here nor in configs/, which has {', '.join(known)}.")


def _check_yaml(path: Path) -> None:
    try:
        yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def find_last(root: str) -> Path:
    """Return the last checkpoint of the newest run under a root folder."""
    found = list((Path(root) / LOGS).glob("version_*/checkpoints/last.ckpt"))
    if not found:
        raise UsageError(f"--ckpt_path last: no run in {Path(root) / LOGS} has saved a checkpoint yet.")
    return max(found, key=lambda path: path.stat().st_mtime)


def check_unfinished(run: Path, checkpoint: dict[str, Any], max_epochs: int | None, max_steps: int) -> None:
    """Say that a run is gone on with, and how far it has come.

    Raises:
        UsageError: If it is trained to the end and exported.

    """
    epochs = checkpoint["ImageData"]["epoch"]  # whole ones
    whole = "" if max_epochs is None else f" of {max_epochs}"
    come = f"{run} has come to epoch {epochs}{whole}, step {checkpoint['global_step']}"
    trained = 0 <= (max_epochs or -1) <= epochs or 0 <= max_steps <= checkpoint["global_step"]
    report, last = run / "export" / "report.json", run / "checkpoints" / "last.ckpt"
    if trained and report.is_file() and report.stat().st_mtime >= last.stat().st_mtime:  # else it is of less training
        raise UsageError(
            f"--ckpt_path last: the newest run with a checkpoint is finished: {come}. Raise trainer.max_epochs to train it on, "
            "or leave --ckpt_path out for a new run."
        )
    rank_zero_info(f"going on with the newest run that has a checkpoint: {come}")


def checkpoint_of(run: Path, name: str) -> Path:
    """Return a checkpoint of a run, the last one if there is none of that name."""
    wanted = run / "checkpoints" / f"{name}.ckpt"
    return wanted if wanted.is_file() else wanted.with_name("last.ckpt")


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint belongs to; None for a checkpoint that was moved out of it."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else None
