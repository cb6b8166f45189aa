"""Say in one message what is wrong on a command line or in a configuration, and what is valid."""

import builtins
import difflib
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from pydoc import locate
from typing import Any

from vitprune.cli.options import (
    TORCH_BASES,
    Options,
    class_names,
    classes_in,
    describe,
    options_in,
    options_of,
)
from vitprune.cli.parser_messages import (
    Missing,
    Mistake,
    NoValue,
    Path,
    Remark,
    Unexpected,
    UnknownClass,
    UnknownOption,
    WrongType,
    read_message,
)
from vitprune.cli.renamed_keys import explain_renamed

LONGEST_VALUE = 80
EXAMPLES = {
    "data.streaming": " Use '{}' to stream with the defaults.",
    "data.max_images": " For example '{train: 2000, validation: 600}'.",
}


def explain(message: str, options: Options) -> str:
    """Return what is wrong, where, and what would be valid.

    Args:
        message: A message of the parser, or any other text, which is returned in one line.
        options: The options of the subcommand, by name.

    """
    mistakes = read_message(message)
    unclassed = [one for one in mistakes if isinstance(one, UnknownOption) and _is_of_base(one)]
    sentences = [_sentence(mistake, options) for mistake in unclassed or mistakes]
    return " ".join(dict.fromkeys(sentences)) or " ".join(message.split())


def _sentence(mistake: Mistake, options: Options) -> str:
    match mistake:
        case UnknownOption():
            return _unknown_option(mistake, options)
        case UnknownClass():
            return _unknown_class(mistake, options)
        case WrongType(path, value, expected, owner):
            annotation = _annotation(path, owner, options) or _type(expected)
            return _wrong_type(path, value, annotation, options)
        case Missing(path, owner):
            return _missing(path, owner, options)
        case Unexpected(arguments):
            return _unexpected(arguments, options)
        case NoValue(option):
            is_section = _is_section(option.removeprefix("--"), options)
            inside = ", or a key under it," if is_section else ""
            return f"{option}{inside} needs a value."
        case Remark(path, text):
            return f"{'.'.join(path)}: {text}" if path else text


def _unknown_option(mistake: UnknownOption, options: Options) -> str:
    path = _visible(mistake.path)
    key = ".".join(path)
    if _is_of_base(mistake):
        valid = class_names(_annotation(path[:1], None, options))
        return f"{key} needs a class. Set {path[0]} to one of {', '.join(valid)}."
    if renamed := explain_renamed(key):
        return renamed
    size = _known(path, options) if mistake.owner is None else len(path) - 1
    parents = path[:size]
    valid = list(options_of(mistake.owner, options, parents))
    if parents:
        valid.sort()
    dashes = "--" if mistake.typed else ""
    sentence = f"unknown {'option' if mistake.typed else 'key'} {dashes}{key}."
    longer = [name for name in valid if name.startswith(f"{path[size]}_")]
    if close := difflib.get_close_matches(path[size], valid, n=1) or longer:
        sentence += f" Did you mean {dashes}{'.'.join([*parents, close[0], *path[size + 1 :]])}?"
    elif not parents and (inside := _in_sections(key, options)):
        sentence += f" Did you mean {' or '.join(dashes + name for name in inside)}?"
    if not valid:
        return sentence
    if parents:
        return f"{sentence} Valid under {dashes}{'.'.join(parents)} are {', '.join(valid)}."
    if mistake.typed:
        valid = [f"--{name}{'.KEY' * _is_section(name, options)}" for name in valid]
    return f"{sentence} Valid are {', '.join(valid)}."


def _in_sections(name: str, options: Options) -> list[str]:
    """Return the keys of this name that sections have, or else those of the most similar names."""
    keys = [
        f"{section}.{key}"
        for section, annotation in options.items()
        if annotation not in TORCH_BASES  # whose keys depend on the class
        for key in options_in(options, (section,))
    ]
    leaves = [key.rpartition(".")[2] for key in keys]
    found = [name] if name in leaves else difflib.get_close_matches(name, leaves, n=2)
    return [key for key, leaf in zip(keys, leaves, strict=True) if leaf in found]


def _is_section(name: str, options: Options) -> bool:
    """Return whether an option is a group of keys."""
    return any(classes_in(options.get(name)))


def _unexpected(arguments: Sequence[str], options: Options) -> str:
    """Return which options take a path in place of arguments that belong to none."""
    sentence = f"unexpected argument{'s' * (len(arguments) > 1)} {' '.join(arguments)}."
    if "config" not in options:
        return f"{sentence} Valid are {', '.join(f'--{name}' for name in options)}."
    images = "data.predict_images" if "return_predictions" in options else "data.source"
    return (
        f"{sentence} Name a run or checkpoint by --ckpt_path, a model or export by "
        f"--model.pretrained, images by --{images}, and a configuration by --config."
    )


def _is_of_base(mistake: UnknownOption) -> bool:
    """Return whether a key was given without a class that could have it."""
    return mistake.owner is not None and locate(mistake.owner) in TORCH_BASES


def _known(path: Path, options: Options) -> int:
    """Return how many leading keys of a path exist, at most all but the last."""
    for size in range(len(path) - 1):
        valid = options_of(None, options, path[:size])
        if valid and path[size] not in valid:
            return size
    return len(path) - 1


def _unknown_class(mistake: UnknownClass, options: Options) -> str:
    annotation = _annotation(mistake.path, mistake.owner, options)
    if not mistake.name[:1].isupper() and annotation is not None:
        return _wrong_type(mistake.path, mistake.name, annotation, options)
    valid = class_names(annotation)
    sentence = f"{_named(mistake.path, options)}: the class {mistake.name!r} is not known."
    if close := difflib.get_close_matches(mistake.name, valid, n=1):
        sentence += f" Did you mean {close[0]}?"
    return f"{sentence} Valid are {', '.join(valid)}." if valid else sentence


def _wrong_type(path: Path, value: str | None, annotation: Any, options: Options) -> str:
    key = _named(path, options)
    hint = EXAMPLES.get(key, "")
    sentence = f"{key or 'the value'} must be {describe(annotation)}"
    if value is None:
        return f"{sentence}.{hint}"
    if value.startswith("[*"):
        hint = " Quote an entry that starts with *."
    shown = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."
    return f"{sentence}, not {shown}.{hint}"


def _missing(path: Path, owner: str | None, options: Options) -> str:
    if path[0] not in options and path[1:2] and path[1] in options:
        path = path[1:]  # the parser puts the subcommand before its options
    name = _named(path, options)
    if len(path) == 1 and "config" not in options and path[0] not in options:
        name = path[0].upper()  # no option, but an argument in a fixed place
    sentence = f"missing {name}, which is required."
    valid = class_names(_annotation(path, owner, options))
    return f"{sentence} Valid are {', '.join(valid)}." if valid else sentence


def _named(path: Path, options: Options) -> str:
    """Return a key as it is written: an option of a subcommand itself as it is typed."""
    key = ".".join(_visible(path))
    return f"--{key}" if key in options and not _is_section(key, options) else key


def _annotation(path: Path, owner: str | None, options: Options) -> Any:
    """Return what the value of a key may be, None if that is not known."""
    if not path:
        return None
    *parents, leaf = _visible(path)
    return options_of(owner, options, tuple(parents)).get(leaf)


def _type(names: Iterable[str]) -> Any:
    """Return the union of types that the parser names, as far as they are built in."""
    kinds = [None if name == "NoneType" else getattr(builtins, name, None) for name in names]
    return reduce(or_, [kind for kind in kinds if kind] or [Any])


def _visible(path: Path) -> Path:
    """Return a path as it may be written: `init_args` inside of it can be left out."""
    return tuple(key for key in path[:-1] if key != "init_args") + path[-1:]
