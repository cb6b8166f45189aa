"""The data module of a run is built again from its configuration."""

import pytest

from vitprune.errors import UsageError
from vitprune.reports.run_data import image_data
from vitprune.runs.run_config import RunConfig


def config(**data) -> RunConfig:
    return RunConfig(model={"pretrained": "digits"}, data={"source": "digits", **data}, trainer={})


def test_settings_are_those_of_the_run():
    data = image_data(config(batch_size=7, max_images={"validation": 9}))
    assert data.batch_size == 7
    assert len(data.splits["validation"]) == 9
    assert data.image_shape == (16, 16)


def test_unknown_keys_are_named():
    with pytest.raises(UsageError, match="section data of the configuration .*colour"):
        image_data(config(colour=1))
