"""Settings of the random changes to training images."""

from collections.abc import Callable
from dataclasses import dataclass

from torchvision.transforms import v2

from vitprune.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images.

    Args:
        crop_scale: Smallest and largest fraction of the area that a random crop keeps, in (0, 1];
            null trains on the images as evaluation sees them.
        horizontal_flip: Whether to mirror half of the images from left to right.
        randaugment: Number of RandAugment operations per image, 0 for none (Cubuk et al. 2019).
        random_erasing: Probability of erasing a rectangle, in [0, 1] (Zhong et al. 2017).
        mixup: Alpha of Mixup, 0 for none (Zhang et al. 2017).
        cutmix: Alpha of CutMix, 0 for none (Yun et al. 2019). With both, each batch draws one.

    Raises:
        UsageError: If a value is out of its range.

    """

    crop_scale: tuple[float, float] | None = (0.5, 1.0)
    horizontal_flip: bool = True
    randaugment: int = 0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_scale and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise UsageError(
                "data.augmentation.crop_scale must be two ascending numbers in (0, 1], not "
                f"{list(self.crop_scale)}."
            )
        if not 0 <= self.random_erasing <= 1:
            raise UsageError(
                "data.augmentation.random_erasing must be a probability in [0, 1], not "
                f"{self.random_erasing}."
            )
        for name in ("randaugment", "mixup", "cutmix"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    f"data.augmentation.{name} must be at least 0, not {getattr(self, name)}."
                )

    def mixing(self, classes: int) -> Callable | None:
        """Return the function that mixes the images of a batch; None if there is no mixing.

        It turns images, float32 (B, 3, H, W), and class numbers, (B,), into mixed images and class
        probabilities, (B, classes).
        """
        mixes = []
        if self.mixup:
            mixes.append(v2.MixUp(alpha=self.mixup, num_classes=classes))
        if self.cutmix:
            mixes.append(v2.CutMix(alpha=self.cutmix, num_classes=classes))
        return v2.RandomChoice(mixes) if mixes else None
