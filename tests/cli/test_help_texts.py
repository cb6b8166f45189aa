"""What `--help` prints first is what a subcommand is for and its own options."""

import pytest

from vitprune.cli.main import main


@pytest.mark.parametrize(("name", "own"), [("fit", "ckpt_path"), ("sensitivity", "sparsities")])
def test_own_options_come_first_and_those_of_the_trainer_last(name, own, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: vitprune {name} [--config FILE]")
    groups = [f"Options of {name}:", f"--{own}", "\noptions:", "--checkpoint.monitor"]
    places = [printed.index(text) for text in [*groups, "\nLightning's Trainer:"]]
    assert places == sorted(places)
    assert "optimization routine" not in printed
    assert "<class 'torch" not in printed


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("benchmark", "Folders of exports (lightning_logs/version_N/export)"),
        ("compare", "Folders of finished runs (lightning_logs/version_N) and of sweeps"),
        ("report", "Folders of finished runs (lightning_logs/version_N)."),
        ("push", "Folder of an export"),
        ("shrink", "Image classifier or backbone: a hub name or folder"),
    ],
)
def test_which_folders_a_command_takes(name, folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert folders in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fit", "Pruning callback; null trains the dense model."),
        ("sweep", "of which layers, calibration_images and seed are used."),
        ("predict", "only fit prunes."),
    ],
)
def test_what_a_subcommand_uses_of_the_pruning_settings(name, text, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert text in capsys.readouterr().out
