"""The commands of the README and the docs, as a shell reads them."""

import re
import shutil

import pytest
from PIL import Image

from tests.cli.documented_commands import ROOT, documented_commands
from vitprune.cli.folder_commands import COMMANDS as FOLDER_COMMANDS
from vitprune.cli.main import main
from vitprune.cli.pruning_cli import PruningCLI
from vitprune.cli.trainer import SCANS

DOCS = ROOT / "docs"
COMMANDS = documented_commands()
# configurations of data that are not here
HUGE = ["imagenet", "article", "smaller.yaml", "faster.yaml"]
FEW = {
    "fit": ["--trainer.limit_train_batches=2", "--data.max_images={train: 128, validation: 32}"],
    "sensitivity": ["--sparsities=[0.5]", "--by=role", "--data.max_images={validation: 32}"],
    "sweep": ["--sparsities=[0.5]", "--seeds=1", "--data.max_images={validation: 32}"],
    "histograms": ["--data.max_images={validation: 32}"],
    "report": ["--images=8"],
    "benchmark": ["--repeats=1"],
    "shrink": ["--calibration_images=64", "--test_images=32"],
}
NOT_HERE = ("FOLDER_OR_HUB_NAME", "FOLDER/", "OWNER/NAME", "facebook/")


class ParsedError(Exception):
    """The parser and what precedes it accepted the command."""


@pytest.fixture
def workplace(finished_run, tmp_path, monkeypatch):
    """Change to a folder in which the names of the pages exist."""
    monkeypatch.chdir(tmp_path)
    for number in "01NM":
        shutil.copytree(finished_run, tmp_path / "lightning_logs" / f"version_{number}")
    shutil.copytree(finished_run, tmp_path / "PATH")
    (tmp_path / "FOLDER").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "FOLDER" / "digit.png")


def ids(commands):
    return [str(command)[:90] for command in commands]


WITH_PARSER = [command for command in COMMANDS if command.words[0] not in FOLDER_COMMANDS]


@pytest.mark.parametrize("command", WITH_PARSER, ids=ids(WITH_PARSER))
def test_a_command_is_accepted(command, workplace, monkeypatch):
    def accept(cli):
        raise ParsedError

    monkeypatch.setattr(PruningCLI, "before_instantiate_classes", accept)
    with pytest.raises(ParsedError):
        main(list(command.words))


def runs_here(command):
    words = " ".join(command.words)
    return not any(name in words for name in (*HUGE, *NOT_HERE, "--trainer.devices"))


def is_slow(command):
    return command.words[0] in ("fit", "export", "benchmark", *SCANS)


RUNNING = [command for command in COMMANDS if runs_here(command)]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=pytest.mark.slow if is_slow(command) else ())
        for command in RUNNING
    ],
    ids=ids(RUNNING),
)
def test_a_command_runs(command, workplace):
    subcommand, *rest = command.words
    few = list(FEW.get(subcommand, []))
    if "unit" in " ".join(rest):  # all steps of its schedule are needed
        few = ["--data.max_images={validation: 32}"]
    if "--ckpt_path" in rest:
        # the run of the fixture is finished, and a resume must keep its data
        few = ["--trainer.max_epochs=4"] if subcommand == "fit" else []
    if "int8" in rest:  # of 64 images one is more than a point
        few += ["--max_drop=0.5"]
    if subcommand not in FOLDER_COMMANDS:
        few += ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
        few += ["--data.num_workers=0"]
    main([subcommand, *rest, *few])


def test_the_examples_load_an_export(workplace, capsys):
    for page in ("index", "shrinking"):
        [example] = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
        names = {}
        exec(compile(example, page, "exec"), names)  # what a reader would do
        assert names["model"].num_parameters() > 1000
    assert capsys.readouterr().out.strip() in "0123456789"


def test_they_are_found():
    assert len(COMMANDS) > 40
    assert len(RUNNING) > 15
