"""The models that come with the package, and what the name of a model or a data set means."""

from pathlib import Path

from vitprune.errors import UsageError

EMBEDDED = {"digits": Path(__file__).parent / "vit-digits"}


def resolve_pretrained(name: str, option: str = "model.pretrained") -> str:
    """Return the folder of an embedded or local model, or `name` itself for the hub.

    Raises:
        UsageError: If it is spelt like a path and there is no such folder.

    """
    return str(EMBEDDED.get(name) or local_folder(name, option) or name)


def local_folder(name: str, option: str) -> Path | None:
    """Return the folder that a name means; None if it can only be a name on the hub.

    Raises:
        UsageError: If it is spelt like a path and there is no such folder.

    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(
            f"{option} {name!r} is not a folder. Give a folder, a name on the hub, or 'digits'."
        )
    return None
