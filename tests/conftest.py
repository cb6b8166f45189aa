"""Small models and data that behave like the large ones."""

import logging
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoConfig, ViTImageProcessor

from vitprune.model.loading import net_from_config
from vitprune.pruning.criteria.calibration import CalibrationBatch

torch.set_num_threads(1)  # more only get in each other's way on models this small

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder with DeiT-Tiny and Imagenette is not here"
)

TINY = {
    "image_size": 16,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def tiny_net(model_type: str = "vit", classes: int = 10, **changes):
    """Return a two-block ViT or DeiT with random weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**TINY, "num_labels": classes, **changes})
    return net_from_config(config).eval()


def tiny_swin():
    """Return a random Swin: two blocks, a downsampling layer, one block."""
    torch.manual_seed(0)
    stages = {"depths": [2, 1], "num_heads": [2, 4], "embed_dim": 8, "window_size": 2}
    return net_from_config(
        AutoConfig.for_model("swin", image_size=16, patch_size=2, num_labels=10, **stages)
    ).eval()


def random_batches(net, images: int = 6, sizes=(4, 2)):
    """Return what `calibrate` takes: random images and labels for a tiny net."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(images, 3, 16, 16, generator=generator)
    labels = torch.randint(10, (images,), generator=generator)
    batches = zip(pixels.split(sizes), labels.split(sizes), strict=True)
    return [
        CalibrationBatch(
            lambda x=x, y=y: nn.functional.cross_entropy(net(pixel_values=x).logits, y), len(y)
        )
        for x, y in batches
    ]


@pytest.fixture(autouse=True)
def lines_reach_caplog(monkeypatch):
    """What Lightning's loggers say: some of its versions keep it from the root logger."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)


@pytest.fixture(params=["vit", "deit"])
def family(request) -> str:
    return request.param


@pytest.fixture
def pretrained(tmp_path, family) -> Path:
    """Return the folder of a tiny pretrained model with an image processor."""
    folder = tmp_path / f"tiny-{family}"
    tiny_net(family).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


class Regression(LightningModule):
    """A LightningModule of another program: two linear layers and an optimizer of choice."""

    def __init__(self, optimizer=torch.optim.AdamW, **options) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)
        self.optimizer, self.options = optimizer, options

    def forward(self, x):
        return self.second(self.first(x).relu())

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log(
            "val/score", -nn.functional.mse_loss(self(batch[0]), batch[1]), batch_size=len(batch[0])
        )

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), **{"lr": 1e-2, **self.options})


def regression_loader(images: int = 32, batch_size: int = 8) -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(images, 8, generator=generator)
    y = torch.randn(images, 4, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def quiet_trainer(folder, **options) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "num_sanity_val_steps": 0,
            **options,
        },
    )


@pytest.fixture(scope="session")
def logs(tmp_path_factory) -> Path:
    """Return the folder of small runs; see `make_runs`."""
    from tests.measured_runs import make_runs  # the command line is slow to import

    return make_runs(tmp_path_factory.mktemp("logs"))
