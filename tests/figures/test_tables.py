"""Tables on the terminal."""

import pytest
from rich.console import Console

from vitprune.figures import tables
from vitprune.figures.tables import accuracy_table, print_table

CURVES = {"vit.layers.0.attention.q_proj": {i / 10: [i / 11] for i in range(1, 10)}}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_number_is_cut_in_a_narrow_terminal(width, monkeypatch, capsys):
    monkeypatch.setattr(tables, "Console", lambda: Console(force_terminal=True, width=width))
    print_table(accuracy_table("pruned layer", CURVES, 0.9, "64 images"))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert all(f"{100 * i / 11:.1f}" in printed for i in range(1, 10))
