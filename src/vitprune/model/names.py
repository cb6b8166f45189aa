"""Embedded models, and how the name of a model or data set is resolved."""

from pathlib import Path

from vitprune.errors import UsageError
from vitprune.model.config_files import ModelFile, ProcessorFile
from vitprune.runs.readable import check_readable
from vitprune.runs.typed_json import read_json

EMBEDDED = {"digits": Path(__file__).parents[1] / "assets" / "vit-digits"}


def resolve_pretrained(name: str, option: str = "model.pretrained") -> str:
    """Return the folder of an embedded or local model, or `name` itself for the hub.

    Raises:
        UsageError: If the name looks like a path and there is no such folder, or if a configuration
            in it is damaged or its weights may not be read.

    """
    folder = EMBEDDED.get(name) or local_folder(name, option)
    if folder is None:
        return name
    for name, kind in (("config.json", ModelFile), ("preprocessor_config.json", ProcessorFile)):
        if (folder / name).is_file():
            read_json(folder / name, kind)
    for file in folder.glob("*.safetensors"):
        check_readable(file)  # safetensors would say that it does not exist
    return str(folder)


def local_folder(name: str, option: str) -> Path | None:
    """Return the folder of a name; None if it can only be a hub name.

    Raises:
        UsageError: If the name is empty, or looks like a path and there is no such folder.

    """
    if not name:
        raise UsageError(f"{option} is empty. Valid are a folder, a hub name, or 'digits'.")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(
            f"{option} {name!r} is not a folder. Valid are a folder, a hub name, or 'digits'."
        )
    return None
