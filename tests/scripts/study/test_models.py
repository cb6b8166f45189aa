"""Weights of models, and models that a budget cannot use."""

import pytest
from torch import nn
from torch.nn.utils import prune

from scripts.study.models import load_weights


def test_weights_that_still_have_masks_are_refused():
    masked = prune.l1_unstructured(nn.Linear(2, 2), "weight", 0.5).state_dict()
    message = "weight, weight_mask, weight_orig differ. Remove the masks before saving"
    with pytest.raises(RuntimeError, match=message):
        load_weights(nn.Linear(2, 2), masked)


def test_weights_may_be_smaller_than_those_of_the_model():
    small = nn.Linear(2, 1)
    assert load_weights(nn.Linear(2, 2), small.state_dict()).weight.shape == (1, 2)
