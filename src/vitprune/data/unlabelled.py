"""Folders of images to predict."""

from pathlib import Path

from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from vitprune.data.folder_files import files_by_folder, paths, with_suffix
from vitprune.errors import UsageError


def find_images(folder: str | None) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted.

    Raises:
        UsageError: If there is no such folder, or no image in it.

    """
    root = Path(folder or "").expanduser()
    if not folder or not root.is_dir():
        raise UsageError(f"data.predict_images must be a folder of images, not {folder!r}.")
    files = _image_files(root)
    if not files:
        raise UsageError(f"data.predict_images {folder!r} holds no image files.")
    return files


def holds_images(folder: str) -> bool:
    """Return whether a folder or its subfolders hold image files."""
    root = Path(folder).expanduser()
    return root.is_dir() and bool(_image_files(root))


def _image_files(root: Path) -> list[Path]:
    images = with_suffix(files_by_folder(root), Image.registered_extensions())
    return sorted(map(Path, paths(root, images)))


def numbered(files: list[Path]) -> Dataset:
    """Return image files as a split; the label of each is its number."""
    features = Features({"image": ImageFeature(decode=False), "label": Value("int64")})
    return Dataset.from_dict(
        {"image": [str(path) for path in files], "label": list(range(len(files)))},
        features=features,
    )
