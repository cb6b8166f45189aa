"""A short training, and what it says."""

import warnings

import pytest

from tests.conftest import quiet_trainer
from tests.training.own_modules.modules import batches


@pytest.fixture
def fit(tmp_path):
    """Return a function that trains a module for three epochs of four steps."""

    def fit(module, *callbacks, loader=None, ckpt_path=None, **options):
        trainer = quiet_trainer(tmp_path, callbacks=list(callbacks), **{"max_epochs": 3, **options})
        trainer.fit(module, loader or batches(), batches(seed=2), ckpt_path=ckpt_path)
        return trainer

    return fit


@pytest.fixture
def said(capsys, caplog):
    """Return a function that calls another one and returns what it printed, logged or warned."""

    def said(call):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        lines = [str(warning.message) for warning in caught]
        lines += [record.getMessage() for record in caplog.records]
        return "\n".join([*lines, *capsys.readouterr()])

    return said
