"""Folders of a command line, and short names for them."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path


def resolve(folders: Sequence[str]) -> list[Path]:
    """Return the absolute paths of folders, each once."""
    return list(dict.fromkeys(Path(folder).expanduser().resolve() for folder in folders))


def short_names(folders: Collection[Path]) -> dict[Path, str]:
    """Return a name for each folder: the shortest end of its path that no other folder shares."""
    endings = {
        folder: [str(Path(*folder.parts[-n:])) for n in range(1, len(folder.parts) + 1)]
        for folder in folders
    }
    used = Counter(ending for several in endings.values() for ending in several)
    return {
        folder: next(ending for ending in several if used[ending] == 1)
        for folder, several in endings.items()
    }
