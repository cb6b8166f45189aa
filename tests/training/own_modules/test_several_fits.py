"""The same callback, module or trainer in several fits."""

import pytest
import torch

from tests.conftest import quiet_trainer
from tests.pruning.axes import name
from tests.training.own_modules.modules import (
    HALVED,
    Call,
    Classifier,
    Sparsities,
    batches,
    halving,
    have_the_same_parameters,
    weights,
    zeros,
)
from vitprune.pruning import IterativePruning, Linear, Magnitude, Movement


def test_k_folds_with_one_callback(fit):
    pruning, modules = halving(), []
    for _ in range(3):
        module, watch = Classifier(), Sparsities()
        fit(module, pruning, watch)
        assert watch.seen == HALVED
        modules.append(module)
    assert have_the_same_parameters(modules[0], modules[2])


def test_a_finished_model_is_not_touched_by_the_next_fold(fit):
    pruning, first, second = halving(), Classifier(), Classifier()
    fit(first, pruning)
    state = {name: value.clone() for name, value in first.state_dict().items()}
    fit(second, pruning)
    optimizer = torch.optim.SGD(first.parameters(), 0.1)
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    first(torch.ones(4, 16)).sum().backward()
    optimizer.step()
    assert zeros(*weights(second)) == 0.5


def test_a_fit_from_an_earlier_checkpoint_with_the_same_callback(fit, tmp_path):
    """The masks that the callback has at the end of the first fit must not hold the second."""
    early = tmp_path / "early.ckpt"

    def save(trainer, module):
        if trainer.current_epoch == 0 and not early.exists():
            trainer.save_checkpoint(early)

    module, pruning = Classifier(), IterativePruning(Linear(0.6, end=2), monitor=None)
    fit(module, pruning, Call("on_train_epoch_end", save))
    expected = {name: value.clone() for name, value in module.state_dict().items()}
    fit(module, pruning, ckpt_path=early)
    assert all(torch.equal(value, expected[name]) for name, value in module.state_dict().items())


def test_a_second_fit_of_the_same_trainer_goes_on(tmp_path):
    module, pruning, watch = Classifier(), halving(), Sparsities()
    trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[pruning, watch])
    trainer.fit(module, batches(), batches(seed=2))
    before = [weight == 0 for weight in weights(module)]
    trainer.validate(module, batches(seed=2), verbose=False)
    trainer.test(module, batches(seed=2), verbose=False)
    trainer.predict(module, batches(seed=2))
    trainer.fit_loop.max_epochs = 4
    trainer.fit(module, batches(), batches(seed=2))
    assert watch.seen == HALVED + [0.5] * 4
    assert len(pruning.state.rounds) == 2
    for weight, old in zip(weights(module), before, strict=True):
        assert torch.equal(weight == 0, old)


@pytest.mark.parametrize("criterion", [Magnitude(), Movement()], ids=name)
def test_masks_stay_after_training_until_they_are_removed(fit, criterion):
    """A fit without the callback keeps pruned entries at zero until `masks.remove()`."""
    module, pruning, watch = Classifier(), halving(), Sparsities()
    fit(module, pruning)
    fit(module, watch)
    assert watch.seen == [0.5] * 12
    pruning.masks.remove()
    sparse = {name: value.clone() for name, value in module.state_dict().items()}
    fit(module, watch)
    plain = Classifier()
    plain.load_state_dict(sparse)
    fit(plain)
    assert watch.seen[-1] < 0.1
    assert have_the_same_parameters(module, plain)
