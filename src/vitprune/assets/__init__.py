"""The models that come with the package."""

from pathlib import Path

EMBEDDED = {"digits": Path(__file__).parent / "vit-digits"}


def resolve_pretrained(name: str) -> str:
    """Return the folder of an embedded model, or `name` itself (a folder or a hub name)."""
    return str(EMBEDDED.get(name, Path(name).expanduser() if name.startswith("~") else name))
