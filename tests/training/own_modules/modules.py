"""Small LightningModules as users write them, their data, and what is asked of their weights."""

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vitprune.pruning import IterativePruning, Linear

FEATURES = 16
WIDTH = 32
CLASSES = 4


def mlp() -> nn.Sequential:
    """Return three linear layers of 512, 1024 and 128 weights, the same ones every time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(FEATURES, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, CLASSES),
    )


def batches(examples: int = 32, batch_size: int = 8, seed: int = 1) -> DataLoader:
    """Return labelled examples in a fixed order; four batches by default."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, FEATURES, generator=generator)
    return DataLoader(TensorDataset(x, x[:, :CLASSES].argmax(1)), batch_size=batch_size)


class Classifier(LightningModule):
    """A classifier that knows nothing of pruning."""

    def __init__(self, net: nn.Module | None = None, lr: float = 1e-2) -> None:
        super().__init__()
        self.net = mlp() if net is None else net
        self.lr = lr

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def predict_step(self, batch, batch_idx):
        return self(batch[0])

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), self.lr, weight_decay=0.1)


def halving(**options) -> IterativePruning:
    """Prune to 25 % at the start of the first epoch and to 50 % at that of the second."""
    return IterativePruning(Linear(0.5, end=1), **{"monitor": None, **options})


def zeros(*tensors: torch.Tensor) -> float:
    """Return the fraction of the entries that are zero."""
    count = sum(int((tensor == 0).sum()) for tensor in tensors)
    return count / sum(tensor.numel() for tensor in tensors)


def weights(module: nn.Module) -> list[nn.Parameter]:
    """Return every parameter of two or more dimensions."""
    return [parameter for parameter in module.parameters() if parameter.dim() > 1]


def pruned_entries(masks, parameter: nn.Parameter) -> torch.Tensor:
    """Return the values of a parameter where its mask prunes it."""
    return parameter.detach()[~masks[parameter]]


def have_the_same_parameters(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two modules have the same parameters, by name, bit for bit."""
    ours = dict(one.named_parameters())
    theirs = dict(other.named_parameters())
    return ours.keys() == theirs.keys() and all(
        torch.equal(parameter, theirs[name]) for name, parameter in ours.items()
    )


class Sparsities(Callback):
    """Note the fraction of zeros of some weights after every training batch.

    Args:
        weights: Which ones, of the LightningModule; by default all matrices.

    """

    def __init__(self, weights=weights):
        self.weights = weights
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(zeros(*self.weights(pl_module)))


class Call(Callback):
    """Call a function in one hook.

    Args:
        hook: Name of the hook.
        function: What to call, with trainer and module.

    """

    def __init__(self, hook, function):
        setattr(self, hook, lambda trainer, module, *_, **__: function(trainer, module))


HALVED = [0.25] * 4 + [0.5] * 8  # after each batch of three epochs of `halving`
