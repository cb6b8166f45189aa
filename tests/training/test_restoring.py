"""Attributes, tensors and learning rates are restored in place."""

from collections import Counter, defaultdict, deque

import pytest
import torch
from torch import nn

from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.training.restoring import (
    attributes_restored,
    learning_rates_restored,
    tensors_restored,
)


class Holder:
    def __init__(self):
        self.number, self.nothing, self.names = 1, None, ["a", "b"]
        self.by_name, self.groups, self.counted = {"a": [1]}, defaultdict(list), Counter("aab")
        self.known, self.last = {1, 2}, deque([1, 2], maxlen=2)


def test_numbers_and_containers_are_restored_and_new_attributes_removed():
    holder, as_made = Holder(), vars(Holder())
    objects = dict(vars(holder))
    with attributes_restored([holder]):
        holder.number, holder.nothing, holder.new = 2, 3, 4
        holder.names.append("c")
        holder.by_name = {}
        holder.groups["x"].append(1)
        holder.counted.update("abc")
        holder.known.clear()
        holder.last.extend([3, 4])
        del holder.__dict__["known"]
    assert vars(holder) == as_made
    assert all(vars(holder)[name] is value for name, value in objects.items())


def test_a_module_keeps_its_parameters_and_submodules():
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    module[1].eval()
    buffer = module[0].running_mean
    with attributes_restored(module.modules()):
        module.train()
        module[0].running_mean = torch.ones(2)
        module[0].register_buffer("more", torch.ones(1))
        module.append(nn.Linear(2, 2))
        module[0].weight = nn.Parameter(torch.zeros(2))
    assert not module[1].training
    assert module[0].running_mean is buffer
    assert set(dict(module.named_buffers())) == {
        f"0.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert len(module) == 3
    assert not module[0].weight.any()


def test_everything_is_restored_after_an_error():
    holder, tensor = Holder(), torch.zeros(2)

    def fail():
        with attributes_restored([holder]), tensors_restored([tensor]):
            holder.number = tensor[0] = 5
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (holder.number, float(tensor[0])) == (1, 0)


def test_tensors_are_restored_in_place():
    tensor, expanded = torch.randn(3), torch.ones(1).expand(4)
    before, view = tensor.clone(), tensor[1:]
    with tensors_restored([tensor, expanded]):
        tensor.zero_()
    assert torch.equal(tensor, before)
    assert torch.equal(view, before[1:])


@pytest.mark.parametrize("kind", ["plateau", "one cycle"])
def test_schedulers_and_options_of_optimizers_are_restored(tmp_path, kind):
    class Scheduled(Regression):
        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=torch.tensor(0.1))
            if kind == "plateau":
                scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
            else:
                scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 100)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {
                    "scheduler": scheduler,
                    "monitor": "val/score",
                    "interval": "step" if kind == "one cycle" else "epoch",
                },
            }

        def on_train_batch_start(self, batch, batch_idx):
            if not batch_idx:
                return
            (optimizer,) = self.trainer.optimizers
            scheduler = self.lr_schedulers()
            group = optimizer.param_groups[0]
            state = {name: str(value) for name, value in scheduler.state_dict().items()}
            options = {name: str(value) for name, value in group.items() if name != "params"}
            rate = group["lr"]
            with learning_rates_restored(self.trainer):
                for loss in (1.0, 2.0, 3.0):
                    scheduler.step(*[loss] * (kind == "plateau"))
                group["weight_decay"] = 7.0
                assert str(group["lr"]) != options["lr"]
            assert group["lr"] is rate
            assert {n: str(v) for n, v in group.items() if n != "params"} == options
            assert {n: str(v) for n, v in scheduler.state_dict().items()} == state
            self.checked = True

    module = Scheduled()
    trainer = quiet_trainer(tmp_path, max_epochs=2)
    trainer.fit(module, regression_loader(), regression_loader())
    assert module.checked
