"""Random changes to training images."""

import pytest
import torch
from lightning import Callback

from tests.data.files import module
from vitprune.data import Augmentation


def test_augmentation_depends_on_seed_epoch_and_image_alone(image_folder, processor):
    data = module(
        image_folder, processor, augmentation=Augmentation(randaugment=2, random_erasing=0.5)
    )
    data.setup("fit")
    images = data.train_dataloader().dataset
    torch.manual_seed(1)
    first = images[(3, 5)]["pixel_values"]
    torch.rand(10)
    state = torch.get_rng_state()
    assert torch.equal(images[(3, 5)]["pixel_values"], first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(images[(4, 5)]["pixel_values"], first)


@pytest.mark.parametrize(
    "options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
)
def test_mixed_batches_have_soft_labels_only_while_training(image_folder, processor, options):
    from tests.conftest import quiet_trainer
    from vitprune.model import ViTClassifier

    data = module(image_folder, processor, augmentation=Augmentation(**options))
    model = ViTClassifier(
        architecture={"model_type": "vit", "image_size": 16, "hidden_size": 12},
        labels=["a", "b"],
    )
    shapes = {"train": set(), "val": set()}

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            shapes["train"].add(batch["labels"].ndim)

        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            shapes["val"].add(batch["labels"].ndim)

    quiet_trainer(image_folder, max_epochs=1, callbacks=[Watch()]).fit(model, data)
    assert shapes == {"train": {2}, "val": {1}}
