"""Settings computed with numpy are stored as plain values."""

import numpy as np
import pytest
import torch

from tests.training.own_modules.modules import Classifier, weights, zeros
from vitprune.pruning import Cubic, IterativePruning, LayerSelection, Levels

SCHEDULES = {
    "list of numpy floats": lambda: Levels(list(np.linspace(0.1, 0.5, 3))),
    "array": lambda: Levels(np.linspace(0.1, 0.5, 3)),
    "numpy float": lambda: Cubic(np.float32(0.5), end=2),
    "numpy integers": lambda: Cubic(0.5, end=np.int64(2), begin=np.int32(0), every=np.int64(1)),
    "tensor": lambda: Cubic(torch.tensor(0.5), end=2),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_run_with_numbers_of_numpy_can_be_saved_and_resumed(fit, tmp_path, kind):
    path = tmp_path / "n.ckpt"
    pruning = IterativePruning(SCHEDULES[kind](), monitor=None)
    module = Classifier()
    fit(module, pruning).save_checkpoint(path)
    assert zeros(*weights(module)) == 0.5
    torch.load(path, weights_only=True)
    resumed = IterativePruning(SCHEDULES[kind](), monitor=None)
    fit(Classifier(), resumed, ckpt_path=path, max_epochs=4)
    assert len(resumed.state.rounds) == 3


def test_other_settings_of_numpy(fit, tmp_path):
    pruning = IterativePruning(
        Cubic(0.5, end=1),
        layers=LayerSelection(names=list(np.array(["net.0", "net.2"]))),
        calibration_images=np.int64(8),
        seed=np.int64(3),
        monitor=np.str_("accuracy"),
        validate_after_pruning=np.bool_(False),
    )
    fit(Classifier(), pruning).save_checkpoint(tmp_path / "n.ckpt")
    torch.load(tmp_path / "n.ckpt", weights_only=True)
