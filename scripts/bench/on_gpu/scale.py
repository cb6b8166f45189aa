"""How large the measurements are, and on which device they run."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

from scripts.bench.models import ARCHITECTURES

TINY = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}
CLASSES = 100


@dataclass(frozen=True)
class Ceilings:
    """What the device can do at best, as measured.

    Attributes:
        matrix_flops: FLOPs a second of a large bfloat16 matrix product.
        bytes_per_s: Bytes read and written a second by a large copy.

    """

    matrix_flops: float
    bytes_per_s: float


@dataclass(frozen=True)
class Scale:
    """How large the measurements are, and where they run.

    Attributes:
        device: `cuda` or `cpu`.
        quick: Whether to use tiny models and few repeats, to see that everything runs.
        ceilings: Measured limits of the device; None if that failed.

    """

    device: str
    quick: bool
    ceilings: Ceilings | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU."""
        return self.device == "cuda"

    @property
    def large_models(self) -> list[str]:
        """Architectures whose speed is measured."""
        return ["tiny"] if self.quick else ["vit-base", "vit-large"]

    @property
    def small_model(self) -> str:
        """Architecture for checks."""
        return "tiny" if self.quick else "deit-tiny"

    @property
    def batch_size(self) -> int:
        """Images in a batch of training."""
        return 8 if self.quick else 256

    @property
    def repeats(self) -> int:
        """Rounds of a measurement, after its warm-up."""
        return 2 if self.quick else 5

    @property
    def steps(self) -> int:
        """Training steps in one turn, with one synchronisation at its end."""
        return 2 if self.quick else 5

    @property
    def backend(self) -> str:
        """Backend of `torch.compile`; without a GPU one that compiles no C++."""
        return "inductor" if self.on_gpu else "aot_eager"

    def architecture(self, name: str) -> dict[str, int]:
        """Return the settings of an architecture."""
        return TINY if name == "tiny" else ARCHITECTURES[name]

    def build(self, name: str, device: str | None = None, **settings: float) -> PreTrainedModel:
        """Return an architecture with random weights, always the same on the same device."""
        torch.manual_seed(0)
        config = ViTConfig(num_labels=CLASSES, **{**self.architecture(name), **settings})
        with torch.device(device or self.device):
            return ViTForImageClassification(config).eval()

    def image_shape(self, name: str) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        side = self.architecture(name).get("image_size", 224)
        return (3, side, side)

    def batch(self, name: str, images: int, device: str | None = None) -> tuple[Tensor, Tensor]:
        """Return random images and labels, made on the CPU and so always the same."""
        generator = torch.Generator().manual_seed(1)
        pixels = torch.randn(images, *self.image_shape(name), generator=generator)
        labels = torch.randint(CLASSES, (images,), generator=generator)
        place = device or self.device
        return pixels.to(place), labels.to(place)

    def forward_flops(self, name: str) -> int:
        """Return the FLOPs of one forward pass of one image."""
        net = self.build(name, "meta")
        images = torch.empty(1, *self.image_shape(name), device="meta")
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            net(pixel_values=images)
        return counter.get_total_flops()

    def floor_ms(self, flops: float = 0.0, bytes_moved: float = 0.0) -> float | None:
        """Return the milliseconds that the device needs at least for so much work."""
        if self.ceilings is None:
            return None
        by_flops = flops / self.ceilings.matrix_flops
        return 1e3 * max(by_flops, bytes_moved / self.ceilings.bytes_per_s)
