"""The program: how it starts, ends and is called."""

import re
import sys
from importlib.abc import MetaPathFinder

import pytest

from vitprune import __main__ as start
from vitprune.cli.main import main
from vitprune.cli.subcommands import SUBCOMMANDS
from vitprune.runs.commands import command_line, command_to_repeat


def test_ctrl_c_during_the_imports_is_one_line(monkeypatch, capsys):
    class Interrupted(MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name == "vitprune.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "vitprune.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        start.main(["fit"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "vitprune: interrupted\n"


def test_main_leaves_the_interpreter_as_it_was(capsys):
    before = list(sys.argv)
    with pytest.raises(SystemExit):
        main(["fitt"])
    assert sys.argv == before


@pytest.mark.parametrize(
    ("program", "start"),
    [
        ("/opt/env/bin/vitprune", "vitprune"),
        ("/home/me/project/scripts/train.py", "python scripts/train.py"),
        ("/opt/env/lib/vitprune/__main__.py", "python -m vitprune"),
    ],
)
def test_commands_are_told_as_they_are_typed(program, start):
    assert (
        command_line([program, "fit", "--data.max_images={train: 9}"])
        == f"{start} fit '--data.max_images={{train: 9}}'"
    )


def test_a_card_leaves_out_what_only_went_on():
    began, went_on, extended = (
        "vitprune fit --config a.yaml",
        "vitprune fit --ckpt_path last",
        "vitprune fit --ckpt_path last -c b.yaml",
    )
    assert command_to_repeat([began, went_on, extended]) == f"{began} && {extended}"


def test_help_is_made_of_whole_sentences(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.partition("(required)")[2]
    entries = re.split(r"\n    (?=[a-z])", listed)[1:]
    assert [entry.split()[0] for entry in entries] == list(SUBCOMMANDS)
    assert all(entry.strip().endswith(".") for entry in entries)
