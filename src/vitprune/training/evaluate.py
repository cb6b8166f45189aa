"""How good an exported model is."""

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from vitprune.data import ImageData


@torch.no_grad()
def score(
    net: PreTrainedModel, data: ImageData, batches: int | None, device: torch.device
) -> dict[str, float]:
    """Return accuracy and loss on the validation split, and its number of images.

    Args:
        net: A model in evaluation mode.
        data: Where the images come from.
        batches: Only so many; None for all.
        device: Where it runs.

    """
    net.to(device)
    correct, loss, images = 0, 0.0, 0
    for batch in data.validation_batches(device, batches):
        scores, labels = net(pixel_values=batch["pixel_values"]).logits, batch["labels"]
        correct += int((scores.argmax(dim=1) == labels).sum())
        loss += float(F.cross_entropy(scores, labels, reduction="sum"))
        images += len(labels)
    net.cpu()
    return {"accuracy": correct / images, "loss": loss / images, "images": images}
