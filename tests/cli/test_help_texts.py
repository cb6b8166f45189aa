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
