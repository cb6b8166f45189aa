"""Training runs that the tests of this folder look at."""

import torch
from lightning import Callback, Trainer

from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.runs.checkpoint import PRUNING


class Watch(Callback):
    """Note the sparsity of the real weights at every hook that matters."""

    def __init__(self):
        self.seen, self.shown = [], []

    def _note(self, hook, module):
        weights = [module.first.weight, module.second.weight]
        zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
        self.seen.append(
            (hook, module.trainer.current_epoch, module.trainer.global_step, round(zeros, 4))
        )

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._note("step", pl_module)
        self.shown.append(round(trainer.callbacks[0].state.sparsity, 4))

    def on_validation_end(self, trainer, pl_module):
        self._note("validation", pl_module)

    def at(self, hook):
        return [entry[3] for entry in self.seen if entry[0] == hook]


def fit(tmp_path, pruning, module=None, loader=None, callbacks=(), **options):
    torch.manual_seed(0)
    module, watch = module or Regression(), Watch()
    trainer = quiet_trainer(
        tmp_path, callbacks=[pruning, *callbacks, watch], **{"max_epochs": 5, **options}
    )
    trainer.fit(module, loader or regression_loader(), regression_loader())
    return module, watch, trainer


class Every(Callback):
    """Call a function before every batch (after the rounds), and keep what it returns."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(self.look(trainer, pl_module))


def fit_and_look(tmp_path, pruning, module=None, look=lambda trainer, module: None, **options):
    torch.manual_seed(0)
    module, every = module or Regression(), Every(look)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, every], **{"max_epochs": 5, **options})
    trainer.fit(module, regression_loader(), regression_loader())
    return module, every.seen, trainer


def keeps(trainer, module):
    return torch.cat([mask.keep.flatten() for mask in trainer.callbacks[0].masks])


def save(pruning):
    """Return the state that a checkpoint stores."""
    checkpoint = {}
    pruning.on_save_checkpoint(None, None, checkpoint)
    return checkpoint[PRUNING][0]


def load(pruning, state):
    """Restore a state, as a resumed fit does."""
    trainer = Trainer(callbacks=[pruning], accelerator="cpu", logger=False)
    trainer.state.fn = "fit"
    pruning.on_load_checkpoint(trainer, None, {PRUNING: [state]})
