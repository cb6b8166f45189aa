"""What is said about mistakes on a command line: on recorded messages, and by the real parser."""

from pathlib import Path

import pytest
import yaml

from vitprune.cli.errors import explain
from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.main import main
from vitprune.cli.options import describe, options_in
from vitprune.cli.parser_messages import (
    Missing,
    Remark,
    UnknownClass,
    UnknownOption,
    WrongType,
    read_message,
)
from vitprune.cli.renamed_keys import RENAMED
from vitprune.cli.subcommands import SUBCOMMANDS, options_of_subcommand

MISTAKES = yaml.safe_load((Path(__file__).parent / "parser_messages.yaml").read_text())


@pytest.mark.parametrize("name", MISTAKES)
def test_a_recorded_message_is_explained(name):
    mistake = MISTAKES[name]
    options = options_of_subcommand(mistake["command"][0])
    assert explain(mistake["message"], options).startswith(mistake["explained"])


@pytest.mark.parametrize("name", MISTAKES)
def test_the_real_parser_is_explained(name, tmp_path, capsys):
    mistake = MISTAKES[name]
    (tmp_path / "mistake.yaml").write_text(mistake.get("config", ""))
    with pytest.raises(SystemExit) as stopped:
        main([word.replace("{tmp}", str(tmp_path)) for word in mistake["command"]])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"vitprune: error: {mistake['explained']}")
    assert error.count("\n") == 1


UNION = """Parser key "pruning":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'vitprune.IterativePruning'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'vitprune.IterativePruning':
        {inner}
    - Expected a <class 'NoneType'>
  Given value type: <class 'dict'>
  Given value: {{'schedule': 3}}"""


class TestReading:
    """Each mistake once, with its place, and without what follows from it."""

    @pytest.mark.parametrize(
        ("inner", "mistake"),
        [
            (
                "Option 'foo' is not accepted",
                UnknownOption(("pruning", "foo"), "vitprune.IterativePruning"),
            ),
            (
                "the following arguments are required: schedule",
                Missing(("pruning", "schedule"), "vitprune.IterativePruning"),
            ),
            ("it cannot work, as 3 > 2.", Remark(("pruning",), "it cannot work, as 3 > 2.")),
            (
                'Parser key "criterion":\n          Expected a dot import path string: Foo',
                UnknownClass(("pruning", "criterion"), "Foo", "vitprune.IterativePruning"),
            ),
            (
                "Parser key \"p\":\n          Expected a <class 'int'>. Got value: x",
                WrongType(("pruning", "p"), "x", ("int",), "vitprune.IterativePruning"),
            ),
        ],
    )
    def test_a_mistake_inside_of_a_union(self, inner, mistake):
        assert read_message(UNION.format(inner=inner)) == [mistake]

    def test_every_unrecognized_argument(self):
        assert read_message("unrecognized arguments: --data.foo=[1] --bar 3") == [
            UnknownOption(("data", "foo"), typed=True),
            UnknownOption(("bar",), typed=True),
        ]

    def test_the_types_of_a_union(self):
        message = """Parser key "trainer.max_epochs":
  Does not validate against any of the Union subtypes
  Errors:
    - Expected a <class 'int'>
    - Expected a <class 'NoneType'>
  Given value: abc"""
        assert read_message(message) == [
            WrongType(("trainer", "max_epochs"), "abc", ("int", "NoneType"))
        ]

    def test_any_other_text_is_a_remark(self):
        assert read_message("the sky fell") == [Remark((), "the sky fell")]
        assert read_message("") == []


class TestSaying:
    def test_a_type_that_only_the_message_knows(self):
        message = "Parser key \"x\":\n  Expected a <class 'int'>. Got value: abc"
        assert explain(message, {}) == "x must be an integer, not abc."

    def test_a_type_of_no_key(self):
        assert explain("Expected a <class 'int'>. Got value: abc", {}) == (
            "the value must be an integer, not abc."
        )

    def test_a_key_that_is_elsewhere_left_out(self):
        message = "Subcommand 'fit' does not accept option 'init_args'"
        assert explain(message, {"data": int}) == "unknown key init_args. Valid are data."

    def test_a_long_value_is_cut(self):
        message = f"Parser key \"x\":\n  Expected a <class 'int'>. Got value: {'9' * 500}"
        assert explain(message, {}) == f"x must be an integer, not {'9' * 80}...."

    def test_any_other_text_is_said_as_it_is(self):
        assert explain("the sky fell", {}) == "the sky fell"
        assert explain('Parser key "x":\n  the sky fell', {}) == "x: the sky fell"

    @pytest.mark.parametrize(
        ("annotation", "text"),
        [
            (int | None, "an integer or null"),
            (None | list[str] | str, "a list or a string or null"),
            (dict[str, float], "a mapping"),
            (tuple[int, int], "a list"),
            (bool, "true or false"),
        ],
    )
    def test_types_are_described(self, annotation, text):
        assert describe(annotation) == text


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_its_own_options(name):
    options = options_of_subcommand(name)
    assert not {"self", "datamodule", "folders"} & set(options)
    of_a_folder = name in COMMANDS
    assert ("data" in options) is not of_a_folder
    assert "output" in options or name in ("fit", "validate", "test", "predict", "push")


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_key_names_the_new_one(old):
    message = f"Subcommand 'fit' does not accept option '{old}'"
    said = explain(message, options_of_subcommand("fit"))
    assert said.startswith(f"{old} was renamed. Use {RENAMED[old]}")
    assert said.endswith(" with pruning.schedule.unit step.") is ("step" in old)


@pytest.mark.parametrize("old", [old for old in RENAMED if old.startswith("data.")])
def test_the_new_key_exists_and_the_old_one_does_not(old):
    options = options_of_subcommand("fit")
    for key, there in ((RENAMED[old], True), (old, False)):
        *path, leaf = key.split(".")
        assert (leaf in options_in(options, tuple(path))) is there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "x", "--images=-1"], "--images must be at least 0, not -1."),
        (
            ["report", "x", "y", "--output=z"],
            "--output names the page of a single run, but there are 2 runs. Leave it out to write "
            "report.html in the folder of each run.",
        ),
        (
            ["exprot"],
            "unknown subcommand exprot. Did you mean export? Valid are fit, validate, test, "
            "predict, export, sensitivity, sweep, histograms, benchmark, compare, latency-table, "
            "push, report, shrink.",
        ),
        ([], "a subcommand is required. Valid are fit, "),
        (["--foo", "fit"], "unknown option --foo. Valid are "),
    ],
)
def test_mistakes_that_are_not_the_parsers(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"vitprune: error: {message}")


def test_classes_that_are_imported_on_first_use_are_known(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config=iterative.yaml", "--pruning.schedule=AccuracyGuardd"])
    assert "Did you mean AccuracyGuarded?" in capsys.readouterr().err
