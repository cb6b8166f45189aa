"""A check of the site: every public name has an entry in the reference."""

import logging
import re
from importlib import import_module
from pathlib import Path
from pydoc import locate

from mkdocs.config.defaults import MkDocsConfig

PUBLIC = ("vitprune", "vitprune.data", "vitprune.model", "vitprune.pruning")
ENTRY = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
log = logging.getLogger("mkdocs.hooks.public_names")


def on_pre_build(config: MkDocsConfig) -> None:
    """Warn of public names without an entry or a docstring; a strict build then fails."""
    for name in undocumented(Path(config.docs_dir) / "reference"):
        log.warning("%s is public, but has no entry in docs/reference or no docstring", name)


def undocumented(folder: Path) -> list[str]:
    """Return the public names without an entry on the pages of a folder, or without a docstring."""
    entries = [name for page in folder.glob("*.md") for name in ENTRY.findall(page.read_text())]
    documented = [locate(name) for name in entries]
    return [
        f"{module}.{name}"
        for module in PUBLIC
        for name in import_module(module).__all__
        if not name.startswith("__")
        and not _is_documented(getattr(import_module(module), name), documented)
    ]


def _is_documented(value: object, documented: list[object]) -> bool:
    return bool(value.__doc__) and any(value is other for other in documented)
