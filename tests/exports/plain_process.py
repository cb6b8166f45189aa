"""Run as a script: print the logits of exports on an image, without the package.

Arguments: the image, then the folders.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image

sys.modules["vitprune"] = None  # as if it were not installed

from transformers import (  # noqa: E402
    AutoImageProcessor,
    AutoModelForImageClassification,
    ViTForImageClassification,
)


@torch.no_grad()
def logits_of(folder: Path, image: Path) -> list[list[float]]:
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForImageClassification.from_pretrained(folder)
    if model.config.model_type == "vit":
        assert isinstance(
            ViTForImageClassification.from_pretrained(folder), ViTForImageClassification
        )
    inputs = processor(Image.open(image), return_tensors="pt")
    as_loaded = model(**inputs).logits
    # a mapped file is not aligned like allocated memory, which changes the last bit
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    logits = model(**inputs).logits
    assert torch.allclose(as_loaded, logits, atol=1e-6)
    if (folder / "model.pt2").exists():
        program = torch.export.load(folder / "model.pt2").module()
        assert torch.allclose(program(inputs["pixel_values"]), logits, atol=1e-5)
    return logits.tolist()


if __name__ == "__main__":
    torch.set_num_threads(1)  # as the tests do; another number rounds differently
    image, *folders = map(Path, sys.argv[1:])
    print(json.dumps([logits_of(folder, image) for folder in folders]))
