"""Embedded models, and how the name of a model or data set is resolved."""

from pathlib import Path

from vitprune.errors import UsageError

EMBEDDED = {"digits": Path(__file__).parents[1] / "assets" / "vit-digits"}


def resolve_pretrained(name: str, option: str = "model.pretrained") -> str:
    """Return the folder of an embedded or local model, or `name` itself for the hub.

    Raises:
        UsageError: If the name looks like a path and there is no such folder.

    """
    return str(EMBEDDED.get(name) or local_folder(name, option) or name)


def local_folder(name: str, option: str) -> Path | None:
    """Return the folder of a name; None if it can only be a hub name.

    Raises:
        UsageError: If the name looks like a path and there is no such folder.

    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(
            f"{option} {name!r} is not a folder. Valid are a folder, a hub name, or 'digits'."
        )
    return None
