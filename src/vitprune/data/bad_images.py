"""Images that cannot be read: stop at the first, or skip and count them."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from vitprune.errors import UsageError

Reaction = Literal["error", "skip"]


@dataclass(frozen=True)
class BadImage:
    """What a data worker returns in place of an image that cannot be used."""

    message: str


class BadImages:
    """The unusable images that this process has met.

    Args:
        reaction: `error` stops at the first one, `skip` leaves them out and counts them.

    Attributes:
        messages: One message per image so far.

    """

    def __init__(self, reaction: Reaction) -> None:
        if reaction not in get_args(Reaction):
            raise UsageError(f"data.on_bad_image must be 'error' or 'skip', not {reaction!r}.")
        self.reaction = reaction
        self.messages: set[str] = set()

    def take_from(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the readable part of a batch from `row_samples.collate`.

        Raises:
            UsageError: If an image is unusable and the reaction is `error`, or if all are.

        """
        bad = batch.pop("bad_images", [])
        if bad and self.reaction == "error":
            raise UsageError(f"{bad[0]}. Set data.on_bad_image to 'skip' to leave such images out.")
        if "pixel_values" not in batch and bad:
            raise UsageError(f"every image of a batch is unusable. The first: {bad[0]}.")
        self.messages |= set(bad)
        return batch

    def report(self) -> None:
        """Warn about the images that this process skipped, and forget them."""
        if self.messages:
            warnings.warn(
                f"{len(self.messages)} images were skipped, among them: {min(self.messages)}.",
                stacklevel=2,
            )
            self.messages = set()
