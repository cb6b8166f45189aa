"""Images of another size than the one a model was trained on."""

import torch
from transformers import AutoModelForImageClassification

from tests.families.expectations import expected, families
from tests.families.families import logits
from vitprune.model import ViTClassifier


@families("size")
def test_another_image_size(family, tmp_path):
    """Half as large again; the saved folder is of the new size for everybody."""
    size = family.image_size * 3 // 2
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    folder = family.save(tmp_path / "model")
    with expected("size", family):
        net = ViTClassifier(str(folder), image_size=size).net.eval()
        found = logits(net, images)
        assert found.isfinite().all()
        net.save_pretrained(tmp_path / "resized")
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "resized")
        assert torch.equal(logits(loaded, images), found)
        kept = dict(net.named_parameters())
        for name, value in family.build().named_parameters():
            if value.ndim == 2 and name.endswith("weight") and "position" not in name:
                assert torch.equal(kept[name], value), name
