"""Read the messages of the command line's parser (jsonargparse) as a list of mistakes.

The parser writes one line, or a tree of all the types that it tried. In a tree, a line belongs to
the keys and classes above it that are indented less.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

Path = tuple[str, ...]


@dataclass(frozen=True)
class UnknownOption:
    """An option or key that does not exist.

    Attributes:
        path: The key and those that it is in.
        owner: Import path of the class that does not have it, if the message names one.
        typed: Whether it was given as an option of the command line.

    """

    path: Path
    owner: str | None = None
    typed: bool = False


@dataclass(frozen=True)
class UnknownClass:
    """A class that does not exist; see `UnknownOption`."""

    path: Path
    name: str
    owner: str | None = None


@dataclass(frozen=True)
class WrongType:
    """A value of another type than its key has.

    Attributes:
        path: The key and those that it is in.
        value: The value as the message shows it, None if it does not.
        expected: Names of the types that were tried.
        owner: See `UnknownOption`.

    """

    path: Path
    value: str | None
    expected: tuple[str, ...] = ()
    owner: str | None = None


@dataclass(frozen=True)
class Missing:
    """A required key that is not there; see `UnknownOption`."""

    path: Path
    owner: str | None = None


@dataclass(frozen=True)
class Unexpected:
    """Arguments of the command line that belong to no option."""

    arguments: tuple[str, ...]


@dataclass(frozen=True)
class NoValue:
    """An option of the command line without its value."""

    option: str


@dataclass(frozen=True)
class Remark:
    """Any other sentence about a key."""

    path: Path
    text: str


Mistake = UnknownOption | UnknownClass | WrongType | Missing | Unexpected | NoValue | Remark

# lines that repeat the type system instead of naming the mistake
NOISE = re.compile(
    r"$|Does not validate against|Subtypes:|Errors:|Given value type:|Expected a path but|"
    r"Import path \S+ does not correspond to a subclass|"
    r"Subclass types expect|a class path \(|a dict with(out)? "
)
KEY = re.compile(r'Parser key "([^"]+)":')
CLASS = re.compile(r"Problem with given class_path '([^']+)'")
GIVEN = re.compile(r"Given value: (.*)")
TYPE = re.compile(
    r"Expected an? (?:<class '(?P<type>[\w.]+)'>|typing\.\S.*?)(?:\. Got value: (?P<value>.*))?$"
)
NO_SUBCLASS = re.compile(r"Not a valid subclass of .*?(?:\. Got value: (.*))?$")
NO_CLASS = re.compile(r"Expected a dot import path string: (.*)")
UNREADABLE = re.compile(r"Unable to load config ['\"](.*)['\"]|argument of type '\w+' is not ")
UNRECOGNIZED = re.compile(r"unrecognized arguments: (.*)")
NOT_ACCEPTED = re.compile(r"(?:Option|Subcommand '\w+' does not accept option) '([^']+)'")
REQUIRED = re.compile(r"the following arguments are required: (.*)")
NO_VALUE = re.compile(r"argument (?:-\w/)?(--[\w.]+): expected")


@dataclass
class _Level:
    """A line that others belong to: a key, or a class that was tried for it."""

    indent: int
    path: Path
    owner: str | None
    value: str | None = None
    types: list[str] = field(default_factory=list)


def read_message(message: str) -> list[Mistake]:
    """Return the mistakes that a message names, the most specific ones alone.

    Args:
        message: A message of jsonargparse, or any other text.

    """
    levels = [_Level(-2, (), None)]
    wrong: list[_Level] = []
    mistakes: list[Mistake] = []
    for indent, text in _lines(message):
        while levels[-1].indent >= indent:
            levels.pop()
        level = levels[-1]
        if key := KEY.match(text):
            path = tuple(key[1].split("."))
            if level.path[-len(path) :] != path:
                # what follows the key of the first line need not be indented
                at = -1 if indent == 0 else indent
                owner = level.owner if len(path) == 1 else None
                levels.append(_Level(at, level.path + path, owner))
            text = text[key.end() :].strip()
            level = levels[-1]
        if tried := CLASS.match(text):
            levels.append(_Level(indent, level.path, tried[1]))
        elif given := GIVEN.match(text):
            level.value = given[1]
        elif expected := TYPE.match(text):
            level.types.append(expected["type"] or "")
            level.value = level.value or expected["value"]
            wrong.append(level)
        elif unreadable := UNREADABLE.match(text) or NO_SUBCLASS.match(text):
            level.value = level.value or unreadable[1]
            wrong.append(level)
        elif not NOISE.match(text):
            mistakes += _named(text, level)
    mistakes += [WrongType(one.path, one.value, tuple(one.types), one.owner) for one in wrong]
    return _most_specific(list(dict.fromkeys(mistakes)))


def _lines(message: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, and how far their text is indented."""
    for line in message.splitlines():
        if text := line.strip().removeprefix("- "):
            yield len(line.rstrip()) - len(text), text


def _named(text: str, level: _Level) -> list[Mistake]:
    """Return the mistakes that one line names."""
    path = level.path
    owner = level.owner
    if found := UNRECOGNIZED.match(text):
        words = found[1].split()
        # what follows an unknown option may be its value
        alone = tuple(takewhile(lambda word: not word.startswith("--"), words))
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        unknown = [UnknownOption(path + _split(option), typed=True) for option in options]
        return [*unknown, Unexpected(alone)] if alone else list(unknown)
    if found := NOT_ACCEPTED.match(text):
        return [UnknownOption(path + _split(found[1]), owner)]
    if found := NO_CLASS.match(text):
        return [UnknownClass(path, found[1], owner)]
    if found := REQUIRED.match(text):
        return [Missing(path + _split(name), owner) for name in found[1].split(", ")]
    if found := NO_VALUE.match(text):
        return [NoValue(found[1])]
    return [Remark(path, text)]


def _split(option: str) -> Path:
    return tuple(option.removeprefix("--").split("."))


def _most_specific(mistakes: list[Mistake]) -> list[Mistake]:
    """Drop wrong-type mistakes of a key for which a more specific mistake is known."""
    placed = [one for one in mistakes if not isinstance(one, NoValue | Unexpected)]
    paths = [one.path for one in placed]
    named = [one.path for one in placed if not isinstance(one, WrongType)]

    def is_told_better(one: Mistake) -> bool:
        if not isinstance(one, WrongType):
            return False
        size = len(one.path)
        deeper = any(len(path) > size and path[:size] == one.path for path in paths)
        return deeper or one.path in named

    return [one for one in mistakes if not is_told_better(one)]
