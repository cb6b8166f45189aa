"""Loaders of one process's share."""

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.data.files import module
from vitprune.data import Augmentation
from vitprune.data.loaders import make_loader
from vitprune.data.position import Position
from vitprune.data.row_samples import ImageSamples
from vitprune.data.share import Share
from vitprune.errors import UsageError


@given(images=st.integers(1, 200), batch_size=st.integers(1, 40), ranks=st.integers(1, 5))
def test_every_rank_evaluates_as_many_batches(images, batch_size, ranks):
    options = {
        "batch_size": batch_size,
        "workers": 0,
        "shuffle": False,
        "start": Position(),
        "buffer": 1,
    }
    samples = ImageSamples(lambda image: {}, 0, "validation")
    if images < ranks:
        with pytest.raises(
            UsageError,
            match=f"the validation split has {images} images, fewer than the {ranks} processes",
        ):
            make_loader(range(images), samples, share=Share(0, ranks), **options)
        return
    loaders = [
        make_loader(range(images), samples, share=Share(rank, ranks), **options)
        for rank in range(ranks)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    assert sorted(
        index for loader in loaders for batch in loader.batch_sampler for _, index in batch
    ) == list(range(images))
    assert ranks > 1 or loaders[0].batch_size == batch_size


def test_loaders_can_be_handed_to_a_worker_that_is_not_a_fork(image_folder, processor):
    data = module(image_folder, processor, augmentation=Augmentation(randaugment=1))
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images = pickle.loads(pickle.dumps(loader.dataset))
        assert torch.equal(images[(1, 0)]["pixel_values"], loader.dataset[(1, 0)]["pixel_values"])
