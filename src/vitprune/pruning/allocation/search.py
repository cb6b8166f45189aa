"""One ranking over all layers, with exchange rates between kinds of structure from a search."""

from vitprune.errors import UsageError
from vitprune.pruning.allocation.isomorphic import Isomorphic
from vitprune.runs.plain_values import plain


class Search(Isomorphic):
    """`Isomorphic` with the rates that prune best, found by trials before the first round.

    A candidate is a set of rates: of the kinds of structure, of the depth and of how evenly layers
    are pruned (see `Isomorphic`). Every candidate meets the budget. A trial prunes
    the model to the final target, compensates by `Ridge` (or by the compensation
    of the method), computes the loss on training images that are held out from calibration, and
    restores the model. The first candidate is `Isomorphic` itself, so that no loss of the trials
    is below that of the result; the second one prunes all layers of a kind equally. The next ones
    are random steps from the best candidate so far, which grow with a success and shrink without
    one. All rounds use the best rates. Validation images are not used. Without compensation in the
    method, the rounds are not compensated although the trials are.

    Source: (1 + 1) evolution strategy with the one-fifth success rule, Rechenberg 1973.

    Cost: for each trial a mask update, the compensation and a forward pass over the held-out
    images.

    Args:
        trials: Number of candidates.
        images: Number of held-out training images.
        min_density: See `Allocation`.

    """

    def __init__(self, trials: int = 100, images: int = 128, min_density: float = 0.0) -> None:
        super().__init__(min_density)
        self.trials: int = plain(trials)
        self.images: int = plain(images)
        for name in ("trials", "images"):
            if getattr(self, name) < 1:
                raise UsageError(f"Search needs at least one of {name}, not {getattr(self, name)}.")
