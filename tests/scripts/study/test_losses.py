"""Training losses of rows."""

import sys

import pytest

from scripts.study import losses
from tests.scripts.study.conftest import DIGITS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_losses_of_every_step_are_drawn(tmp_path, monkeypatch, capsys):
    figure = tmp_path / "losses.png"
    rows = ("dense control", "one-shot magnitude")
    monkeypatch.setattr(sys, "argv", ["losses", "--rows", *rows, "--output", str(figure), *DIGITS])
    losses.main()
    printed = capsys.readouterr().out.splitlines()
    means = dict(line.split(": ") for line in printed if line.startswith(rows))
    dense, pruned = (means[row].split() for row in rows)
    assert len(dense) == len(pruned) == 4  # sixteen steps
    assert float(pruned[0]) > float(dense[0])
    assert figure.stat().st_size > 1000
