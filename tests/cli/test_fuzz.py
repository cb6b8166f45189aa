"""Configurations that a tired user, a bad merge or a cat on the keyboard leaves behind: a run, or
one clear message.

`FUZZ=600` (`make fuzz`) sets how many; the same number gives the same files.
"""

import copy
import os
import random
import shutil
from pathlib import Path

import pytest
import yaml

from vitprune import load_pruned
from vitprune.cli.main import PruningCLI, main
from vitprune.data import sources
from vitprune.errors import UsageError
from vitprune.runs.checkpoint import TrainingCheckpoint

COUNT = int(os.environ.get("FUZZ", 60))
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
SAFE = ["--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--data.num_workers=0"]
VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2,
    7,
    0.5,
    -0.5,
    1e30,
    float("nan"),
    float("inf"),
    "",
    "foo",
    "ü",
    "../x",
    "1e-3",
    "null",
]
VALUES += [
    [],
    [1],
    [0.1, 0.2],
    ["query"],
    {},
    {"a": 1},
    {"class_path": "Cubic"},
    {"class_path": "os.system", "init_args": {}},
]
NAMES = ["foo", "class_path", "init_args", "final_sparsity", "source", "", "max_epochs", 3, None]


def paths(tree, prefix=()):
    """Yield the place of every key and list item."""
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


def parent_of(tree, path):
    for key in path[:-1]:
        tree = tree[key]
    return tree


def replace(tree, path, rng):
    parent_of(tree, path)[path[-1]] = copy.deepcopy(rng.choice(VALUES))


def delete(tree, path, rng):
    del parent_of(tree, path)[path[-1]]


def rename(tree, path, rng):
    parent = parent_of(tree, path)
    if isinstance(parent, dict):
        word = str(path[-1])
        cut = rng.randrange(len(word) or 1)
        parent[rng.choice([*NAMES, word[:cut] + word[cut + 1 :], word + "s"])] = parent.pop(
            path[-1]
        )


def insert(tree, path, rng):
    parent = parent_of(tree, path)
    if isinstance(parent, dict):
        parent[rng.choice(NAMES)] = copy.deepcopy(rng.choice(VALUES))


def swap(tree, path, rng):
    other = rng.choice(list(paths(tree)))
    if path[: len(other)] == other or other[: len(path)] == path:
        return
    a, b = parent_of(tree, path), parent_of(tree, other)
    a[path[-1]], b[other[-1]] = b[other[-1]], a[path[-1]]


def scribble(text, rng):
    """Change the text itself."""
    place = rng.randrange(len(text))
    change = rng.choice(["cut", "insert", "delete", "double"])
    if change == "cut":
        return text[:place]
    if change == "delete":
        return text[:place] + text[place + rng.randrange(1, 9) :]
    if change == "double":
        line = text.splitlines(keepends=True)
        return "".join([*line, rng.choice(line)])
    return (
        text[:place]
        + rng.choice(
            [":", "\t", "{", "]", "- ", "\n", "!!python/object:os.system ", "&a ", "*a", "\0"]
        )
        + text[place:]
    )


def mutant(number):
    """Return the text of one broken configuration."""
    rng = random.Random(number)
    tree = yaml.safe_load(rng.choice(CONFIGS).read_text())
    tree["trainer"].pop("precision", None)
    tree["data"]["source"] = "digits"
    if "pretrained" in tree["model"]:
        tree["model"]["pretrained"] = "digits"
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(paths(tree))
        if places:
            rng.choice([replace, replace, replace, delete, rename, insert, swap])(
                tree, rng.choice(places), rng
            )
    text = yaml.safe_dump(tree, allow_unicode=True)
    return scribble(text, rng) if rng.random() < 0.2 else text


@pytest.fixture(scope="module")
def fast_startup():
    """Build the parsers and the digits once: they are the same for every configuration."""
    patch = pytest.MonkeyPatch()
    parsers, build = {}, PruningCLI.setup_parser

    def setup_parser(cli, *arguments):
        if not parsers:
            build(cli, *arguments)
            parsers.update(
                {
                    name: getattr(cli, name)
                    for name in ("parser", "_subcommand_parsers", "_subcommand_method_arguments")
                }
            )
        vars(cli).update(parsers)

    digits = sources.digits()
    patch.setattr(PruningCLI, "setup_parser", setup_parser)
    patch.setattr(sources, "digits", lambda: digits)
    yield
    patch.undo()


@pytest.mark.parametrize("part", range(min(COUNT, 10)))
def test_a_broken_configuration_ends_in_a_run_or_in_one_message(
    part, fast_startup, tmp_path, monkeypatch, capsys, recwarn
):
    monkeypatch.chdir(tmp_path)
    for number in range(part, COUNT, 10):
        Path("mutant.yaml").write_text(mutant(number))
        code = 0
        try:
            main(
                ["fit", "--config", "mutant.yaml", f"--trainer.default_root_dir={tmp_path}", *SAFE]
            )
        except SystemExit as stopped:
            code = stopped.code
        except BaseException as error:
            raise AssertionError(f"mutant {number}:\n{mutant(number)}") from error
        message = capsys.readouterr().err
        if code:
            lines = [line for line in message.splitlines() if line.startswith("vitprune: error: ")]
            assert (code, len(lines)) == (2, 1), (number, message, mutant(number))
            assert len(lines[0]) < 1500, (number, message)
        assert "Traceback" not in message, (number, message)


def mangle(content, rng):
    """Return bytes with one accident: cut, overwritten, doubled, or filled with zeros."""
    start = rng.randrange(len(content))
    stop = min(len(content), start + rng.randrange(1, 64))
    return rng.choice(
        [
            content[:start],
            content[:start] + content[stop:],
            content[:start] + bytes(stop - start) + content[stop:],
            content[:start] + rng.randbytes(stop - start) + content[stop:],
            content[:stop] + content[start:],
        ]
    )


def read_checkpoint(run):
    checkpoint = TrainingCheckpoint.read(run / "checkpoints" / "last.ckpt")
    checkpoint.check_resumable()
    _ = checkpoint.record, checkpoint.masks, checkpoint.commands


READERS = {
    "config.yaml": lambda run: main(["compare", str(run), f"--output={run}/compare"]),
    "export/report.json": lambda run: main(["compare", str(run), f"--output={run}/compare"]),
    "metrics.csv": lambda run: main(["compare", str(run), f"--output={run}/compare"]),
    "export/config.json": lambda run: load_pruned(run / "export"),
    "export/model.safetensors": lambda run: load_pruned(run / "export"),
    "checkpoints/last.ckpt": read_checkpoint,
}


@pytest.mark.parametrize("file", READERS)
def test_a_mangled_file_is_read_or_refused_in_one_line(file, finished_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    whole = (run / file).read_bytes()
    for number in range(max(1, COUNT // 10)):
        (run / file).write_bytes(mangle(whole, random.Random(number)))
        message = ""
        try:
            READERS[file](run)
        except UsageError as error:
            message = str(error)
        except SystemExit:
            message = capsys.readouterr().err.strip()
        except BaseException as error:
            raise AssertionError(f"{file}, mangled with seed {number}") from error
        assert "\n" not in message, (number, message)
