"""Folders of images to predict."""

import glob
from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from vitprune.data.folder_files import files_by_folder, paths, with_suffix
from vitprune.errors import UsageError


def find_images(places: str | Sequence[str] | None) -> list[Path]:
    """Return the image files of folders with their subfolders, of paths and of glob patterns.

    Files of a folder or a pattern are sorted; none comes twice.

    Raises:
        UsageError: If a place does not exist, or holds no image.

    """
    listed = [places] if isinstance(places, str) else places
    if not listed:
        raise UsageError(
            "data.predict_images must be a folder of images, an image file, a pattern such as "
            f"'photos/*.jpg', or a list of these, not {places!r}."
        )
    return list(dict.fromkeys(file for place in listed for file in _images_of(place)))


def _images_of(place: str) -> list[Path]:
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        files = _image_files(path)
    else:
        found = sorted(map(Path, glob.glob(str(path), recursive=True)))
        images = Image.registered_extensions()
        files = [file for file in found if file.is_file() and file.suffix.lower() in images]
    if not files:
        problem = "holds no image files" if path.is_dir() else "is no folder and matches no images"
        raise UsageError(
            f"data.predict_images: {place!r} {problem}. Use a folder of images, an image file, or "
            "a pattern such as 'photos/*.jpg'."
        )
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
