"""The data of a run, built again from its configuration."""

import pytest

from vitprune.data import Augmentation, Streaming
from vitprune.errors import UsageError
from vitprune.reports.run_data import image_data
from vitprune.runs.run_config import RunConfig

SECTION = {
    "source": "digits",
    "processor": None,
    "augmentation": {"crop_scale": None, "mixup": 0.5},
    "columns": {"class_names": list("abcdefghij")},
    "streaming": None,
}


def config(**changes):
    return RunConfig.model_validate(
        {"model": {"pretrained": "digits"}, "data": {**SECTION, **changes}, "trainer": {}}
    )


def test_settings_come_in_groups():
    data = image_data(config())
    assert data.augmentation == Augmentation(crop_scale=None, mixup=0.5)
    assert data.class_names == list("abcdefghij")
    assert data.image_shape == (16, 16)  # of the processor of the model
    assert image_data(config(streaming={"shuffle_buffer": 7})).streaming == Streaming(7)


@pytest.mark.parametrize(
    "wrong", [{"crop_scale": None}, {"split": {"fraction": 0.1}}, {"split": 3}]
)
def test_the_keys_of_another_version_are_refused(wrong):
    with pytest.raises(UsageError, match="data settings of the run are not valid in this version"):
        image_data(config(**wrong))
