"""Image folders: the class folders of each split."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from vitprune.data.folder_files import Folders
from vitprune.data.split_names import SPLIT_NAMES, is_plain, looks_like_split, split_named
from vitprune.errors import UsageError

RENAME = (
    "Rename the folders of splits to 'train', 'validation' and 'test', or set data.source to the "
    "folder in which they are or to a folder of class folders"
)


@dataclass(frozen=True)
class FolderSplits:
    """The splits of a folder.

    Attributes:
        folders: Names of the files of each folder, by split.
        notes: Log lines about what was inferred.

    """

    folders: dict[str, Folders]
    notes: list[str] = field(default_factory=list)


def images_by_split(folders: Folders, source: str) -> FolderSplits:
    """Find the splits of a folder of class folders.

    A split is a folder of class folders. It is at the top level, or inside the only folder there.
    Without splits, all images are `train`. A folder that contains images is a class, even if it is
    called `test`, unless all such folders have the names of splits.

    Args:
        folders: Names of the images of each folder, by the parts of its path; also empty folders.
        source: What error messages call the folder.

    Raises:
        UsageError: If a folder looks like a split and its name does not say which, or an image is
            not in a class folder.

    """
    wrapper = _wrapper(folders)
    inside = {parts[len(wrapper) :]: names for parts, names in folders.items()}
    filled = {parts: names for parts, names in inside.items() if names}
    where = "/".join([source.rstrip("/"), *wrapper])
    notes = [f"Reading {where}: all images of {source} are there."] * bool(wrapper)
    _refuse_splits_of_images(filled, where)
    classes = _classes_by_top(filled)
    splits = {top: split for top in classes if (split := split_named(top))}
    inner = _splits_inside(filled, splits)
    _refuse_splits_inside(inner, splits, where)
    for top in inner:
        if not looks_like_split(top):
            del classes[top]  # a second set of splits, beside this one
    if splits:
        notes += _check_tops(inside, classes, splits, where)
        notes += _drop_unknown_classes(classes, splits, where)
    else:
        _refuse_unclear_splits(classes, where)
    kept = {
        split: {p: names for p, names in filled.items() if p and p[0] == top}
        for top, split in splits.items()
    } or {"train": filled}
    _refuse_stray_images(kept, where)
    notes += _merged_classes(kept, where)
    by_split = {
        split: {(*wrapper, *parts): names for parts, names in kept[split].items()}
        for split in SPLIT_NAMES
        if split in kept
    }
    return FolderSplits(by_split, notes)


def _wrapper(folders: Folders) -> tuple[str, ...]:
    """Return the folder that contains all others and is neither a split nor a class."""
    wrapper: tuple[str, ...] = ()
    while True:
        depth = len(wrapper)
        filled = [p[depth:] for p, names in folders.items() if names and p[:depth] == wrapper]
        if len({parts[:1] for parts in filled}) != 1 or not filled[0]:
            return wrapper
        below = {name for parts in filled for name in parts[1:-1]}
        is_split = looks_like_split(filled[0][0]) and not any(map(split_named, below))
        if is_split or all(len(parts) == 1 for parts in filled):
            return wrapper
        wrapper = (*wrapper, filled[0][0])


def _classes_by_top(filled: Folders) -> dict[str, set[str]]:
    """Return the names of the class folders in each folder at the top that contains some."""
    classes = defaultdict(set)
    for parts in filled:
        if len(parts) > 1:
            classes[parts[0]].add(parts[-1])
    return dict(classes)


def _refuse_splits_of_images(filled: Folders, where: str) -> None:
    """Refuse folders of images without classes that have the names of splits."""
    names = {parts[-1] for parts in filled if parts}
    if any(len(parts) > 1 and split_named(parts[0]) for parts in filled):
        called_so = set(filter(is_plain, names))
        refused = called_so == names
    else:
        called_so = set(filter(looks_like_split, names))
        plain = {split_named(name) for name in filter(is_plain, names)}
        refused = 2 * len(called_so) > len(names) or len(plain) > 1
    if names and refused:
        raise UsageError(
            f"the folders {sorted(called_so)[:5]} of {where!r} have the names of splits and hold "
            "images without class folders. Sort the images by class, for example train/cat/1.jpg "
            "and train/dog/2.jpg."
        )


def _splits_inside(filled: Folders, splits: dict[str, str]) -> dict[str, set[str]]:
    """Return, by top-level folder, the other splits that folders inside it name."""
    inner: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in filled:
        inner[parts[:1]] |= {split for name in parts[1:-1] if (split := split_named(name))}
    return {
        top[0]: found
        for top, found in inner.items()
        if top and (len(found) > 1 or found - {splits.get(top[0]), "train"})
    }


def _refuse_splits_inside(inner: dict[str, set[str]], splits: dict[str, str], where: str) -> None:
    """Refuse splits below the top level, which would be mixed with each other."""
    for top, found in inner.items():
        if top in splits or not splits:
            raise UsageError(
                f"the folder {top!r} of {where!r} contains folders with the names of splits "
                f"({sorted(found)}). {RENAME}."
            )


def _check_tops(
    inside: Folders, classes: dict[str, set[str]], splits: dict[str, str], where: str
) -> list[str]:
    """Check that no folder beside the splits could be a split; return notes on ignored ones."""
    for split in splits.values():
        tops = sorted(top for top in splits if splits[top] == split)
        if len(tops) > 1:
            raise UsageError(
                f"the folders {tops} of {where!r} all name the {split} split. Rename or merge them."
            )
    known = set().union(*(classes[top] for top in splits))
    others = sorted({parts[0] for parts in inside if parts} - set(splits))
    for top in others:
        if classes.get(top, set()) & known or (top in classes and looks_like_split(top)):
            raise UsageError(
                f"the folder {top!r} of {where!r} looks like a split beside {sorted(splits)}, but "
                f"its name does not say which. {RENAME}."
            )
        missing = {"train", "validation"} - set(splits.values())
        needed = split_named(top) in missing
        if needed and (is_plain(top) or _has_images(inside, top)):
            raise UsageError(
                f"the folder {top!r} of {where!r} has no class folders with images. Sort its "
                "images by class, rename it, or remove it."
            )
    hierarchy = sorted(top for top in others if top in classes)
    if hierarchy and len(splits) == 1 and not all(map(is_plain, splits)):
        raise UsageError(
            f"the folder {next(iter(splits))!r} of {where!r} looks like a split, but "
            f"{hierarchy[:5]} beside it do not. {RENAME}."
        )
    named = {top: split for top, split in splits.items() if not (is_plain(top) and top.islower())}
    notes = []
    if named:
        notes.append(
            f"Splits of {where}: {', '.join(f'{split} = {top}' for top, split in named.items())}."
        )
    ignored = [top for top in others if _has_images(inside, top)] + inside.get((), [])
    if ignored:
        notes.append(f"Ignoring images of {where} that are not in a split: {ignored[:5]}.")
    return notes


def _has_images(inside: Folders, top: str) -> bool:
    return any(names for parts, names in inside.items() if parts[:1] == (top,))


def _drop_unknown_classes(
    classes: dict[str, set[str]], splits: dict[str, str], where: str
) -> list[str]:
    """Drop a test split without any class of train, such as folders of unlabelled images."""
    tops = {split: top for top, split in splits.items()}
    notes = []
    for split in ("validation", "test"):
        if not {"train", split} <= set(tops) or classes[tops["train"]] & classes[tops[split]]:
            continue
        unknown = sorted(classes[tops[split]])[:5]
        if split == "validation":
            raise UsageError(
                f"the validation split of {where!r} has the classes {unknown}, and train has none "
                f"of them: {sorted(classes[tops['train']])[:5]}. Give both the same class folders."
            )
        notes.append(
            f"Ignoring the test split of {where}: train has none of its class folders {unknown}."
        )
        del splits[tops[split]]
    return notes


def _refuse_unclear_splits(classes: dict[str, set[str]], where: str) -> None:
    """Refuse folders of class folders that could be splits by their names or their contents."""
    unclear = sorted(top for top in classes if looks_like_split(top))
    if unclear:
        raise UsageError(
            f"the folders {unclear[:5]} of {where!r} look like splits, but their names do not say "
            f"which. {RENAME}."
        )
    homes = Counter(name for names in classes.values() for name in names)
    shared = sorted(name for name, count in homes.items() if count > 1)
    if shared:
        tops = sorted(top for top in classes if shared[0] in classes[top])
        raise UsageError(
            f"the folders {tops[:5]} of {where!r} hold the same classes ({shared[:3]}), as splits "
            f"do. {RENAME}; to train on all of them, move them into one folder 'train'."
        )


def _merged_classes(kept: dict[str, Folders], where: str) -> list[str]:
    """Return a log line if a class has several folders, as in x/cat and y/cat."""
    for folders in kept.values():
        homes = defaultdict(list)
        for parts in sorted(filter(None, folders)):
            homes[parts[-1]].append("/".join(parts))
        for name, paths in homes.items():
            if len(paths) > 1:
                return [
                    f"The innermost folders of {where} are its classes: {name!r} has the images of "
                    f"{paths[:5]}."
                ]
    return []


def _refuse_stray_images(kept: dict[str, Folders], where: str) -> None:
    """Refuse images that are not at the depth of the others, whose class is unknown."""
    depths: Counter[int] = Counter()
    for folders in kept.values():
        for parts, names in folders.items():
            depths[len(parts)] += len(names)
    if len(depths) < 2:
        return
    usual = max(depths, key=lambda depth: (depths[depth], depth))
    stray = sorted(
        "/".join([*parts, name])
        for folders in kept.values()
        for parts, names in folders.items()
        if len(parts) != usual
        for name in names
    )
    raise UsageError(
        f"{stray[0]!r} of {where!r} is not in a class folder at the depth of the other images, nor "
        f"are {len(stray) - 1} more. Move or remove them."
        if len(stray) > 1
        else f"{stray[0]!r} of {where!r} is not in a class folder at the depth of the other "
        "images. Move or remove it."
    )
