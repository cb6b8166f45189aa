"""Images that cannot be read."""

import pytest

from tests.data.files import module
from vitprune.errors import UsageError


def test_a_truncated_image_is_named(image_folder, processor):
    bad = image_folder / "train" / "cat" / "0.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    data = module(image_folder, processor)
    data.setup("fit")
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    with pytest.raises(
        UsageError, match=r"cat/0.jpg of the (train|validation) split is not a readable image"
    ):
        [data.on_before_batch_transfer(batch, 0) for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_or_skipped_and_counted(image_folder, processor, workers):
    for name in ("0.jpg", "1.jpg"):
        (image_folder / "train" / "cat" / name).write_bytes(b"no image")
    data = module(image_folder, processor, on_bad_image="skip", num_workers=workers, batch_size=6)
    data.setup("fit")
    images = 0
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            images += len(data.on_before_batch_transfer(batch, 0)["labels"])
    served = 12 + len(data.splits["validation"])
    assert images == served - len(data.bad_images.messages)
    assert 1 <= len(data.bad_images.messages) <= 2
    with pytest.warns(
        UserWarning, match="[12] images were skipped, among them: .*is not a readable image"
    ):
        data.teardown("fit")
