"""What `import vitprune` offers: prune, export and load without a run, and a callback for one."""

import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from transformers import AutoModelForImageClassification

import vitprune
from tests.conftest import tiny_net
from vitprune.pruning import Magnitude, Method, Neuron


def test_a_model_is_pruned_exported_and_loaded(tmp_path):
    net = tiny_net()
    reached = vitprune.prune(net, Method(Magnitude(), Neuron()), 0.5)
    assert reached.prunable == pytest.approx(0.5, abs=0.01)
    images = torch.randn(3, 3, 16, 16)
    expected = net(pixel_values=images).logits
    report = vitprune.export(net, tmp_path / "small")
    assert report.pruned.parameters < report.base.parameters
    for small in (
        vitprune.load_pruned(tmp_path / "small"),
        AutoModelForImageClassification.from_pretrained(tmp_path / "small"),
    ):
        torch.testing.assert_close(small(pixel_values=images).logits, expected)


def test_names_are_listed_and_imported_on_first_use():
    assert vitprune.__version__ == version("vitprune")
    assert all(getattr(vitprune, name) for name in vitprune.__all__)
    assert set(vitprune.__all__) <= set(dir(vitprune))
    assert vitprune.IterativePruning.__name__ == "IterativePruning"
    with pytest.raises(AttributeError, match="no attribute 'prnue'"):
        vitprune.prnue  # noqa: B018
    code = (
        "import vitprune, sys; assert not {'torch', 'lightning', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_functions_are_not_hidden_by_rooms_of_their_name():
    import vitprune.exports.load
    import vitprune.pruning

    assert callable(vitprune.export)
    assert callable(vitprune.prune)
