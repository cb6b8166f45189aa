"""The table and the figures of a sensitivity scan."""

import re

import numpy as np

from tests.conftest import tiny_net
from vitprune.evaluation.grouping import OUTSIDE, place_of
from vitprune.evaluation.sensitivity_result import Losses, SensitivityResult
from vitprune.figures.tables import print_table
from vitprune.pruning import LayerSelection


def test_the_table_begins_with_the_most_sensitive(logs, capsys):
    result = SensitivityResult.read(logs / "version_1" / "sensitivity" / "sensitivity.json")
    print_table(result.most_sensitive())
    shown = [
        float(number)
        for number in re.findall(r"│\s+(\d+\.\d) │$", capsys.readouterr().out, re.MULTILINE)
    ]
    assert shown == sorted(round(100 * curve[0.9], 1) for curve in result.scan.values())


def test_every_panel_of_a_figure_has_its_own_rows_and_curves():
    layers = LayerSelection(["query", "mlp_in", "patch_embed", "classifier"]).select(
        tiny_net(num_hidden_layers=9)
    )
    names = [layer.name for layer in layers]
    result = SensitivityResult(
        metric="accuracy",
        dense=0.9,
        images=40,
        criterion="Magnitude",
        granularity="Element",
        by="layer",
        scan={name: {0.5: 0.8, 0.9: 0.1} for name in names},
        reached={name: {0.5: 0.5, 0.9: 0.9} for name in names},
        groups={name: [name] for name in names},
        places={layer.name: place_of([layer]) for layer in layers},
        loss=Losses(0.3, {name: {0.5: 0.5, 0.9: 3.0} for name in names}),
        settings={},
    )
    figures = result.draw()
    panels = {axes.get_title(): axes for axes in figures["drop_map"].axes}
    for title, rows in (("query", 9), ("mlp_in", 9), (OUTSIDE, 2)):
        assert len(panels[title].get_yticklabels()) == rows
        assert np.allclose(panels[title].images[0].get_array(), [[10, 80]] * rows)
    curves = {
        axes.get_title(): len(axes.lines) - 1
        for axes in figures["by_block"].axes
        if axes.get_title()
    }
    assert curves == {**{f"block {i}": 2 for i in range(9)}, OUTSIDE: 2}
