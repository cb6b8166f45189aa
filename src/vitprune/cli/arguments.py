"""Short forms on a command line: configurations, run folders and checkpoints."""

import json
from pathlib import Path

import yaml

from vitprune.errors import UsageError
from vitprune.runs.folder import find_last, resolve_checkpoint, run_of

CONFIG_FOLDERS = (Path("configs"), Path(__file__).parents[3] / "configs")


def resolve_arguments(arguments: list[str]) -> list[str]:
    """Return a command line with paths in place of short forms.

    `--config NAME` may be a file in `configs/`; `--ckpt_path` may be the folder of a run, which
    means its best checkpoint or, for fit, its last; a checkpoint without a configuration brings
    that of its run.
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


def _config_of(run: Path, fit: bool) -> str:
    """Return the configuration of a run; for another verb than fit, without what only fit understands."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    return json.dumps(
        {
            key: value
            for key, value in settings.items()
            if fit or key not in ("ckpt_path", "weights_only")
        }
    )


def _split_option(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return (
        [name, value]
        if equals and name in ("--config", "--ckpt_path", "--trainer.default_root_dir")
        else [argument]
    )


def _option(words: list[str], name: str) -> str | None:
    return next((words[i + 1] for i in range(len(words) - 2, -1, -1) if words[i] == name), None)


def find_config(name: str) -> str:
    """Return the path of a configuration: where it is named, or in `configs/`."""
    for path in (Path(name), *(folder / name for folder in CONFIG_FOLDERS)):
        if path.is_file():
            _check_yaml(path)
            return str(path)
    known = sorted({str(p.relative_to(f)) for f in CONFIG_FOLDERS for p in f.rglob("*.yaml")})
    raise UsageError(
        f"there is no configuration {name!r}, neither here nor in configs/, which has "
        f"{', '.join(known)}."
    )


def _check_yaml(path: Path) -> None:
    try:
        yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
