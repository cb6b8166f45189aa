"""A search for the exchange rates between kinds of structure; see `Search`."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

from vitprune.pruning.allocation.isomorphic import DEPTH, EVENNESS
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.restoring import restored
from vitprune.pruning.method import Method
from vitprune.runs.trials import Trial
from vitprune.seeding import seed_for

FIRST_STEP = 0.4  # standard deviation of the logarithm of a rate
SMALLEST_STEP = 0.05
GROWTH = 1.5  # of the step with a success; four failures undo it


def try_rates(
    masks: Masks,
    method: Method,
    update: Callable[[Masks, Method], None],
    loss: Callable[[], float],
    seed: int,
    known: Sequence[Trial] = (),
) -> Iterator[Trial]:
    """Yield trials without end; masks and weights are restored after each.

    Args:
        masks: Masks of the layers to prune.
        method: A method with a `Search`.
        update: Prunes masks by a method to the final target; see `update_masks`.
        loss: Returns the loss of the model as it is, the same on every rank.
        seed: Seed of the candidates.
        known: Trials of an interrupted search. They are not repeated if the first one has the same
            loss now: it was a search on the same model and images.

    """
    kinds = list(dict.fromkeys(method.granularity.dimensions))
    trials: list[Trial] = []
    while True:
        number = len(trials)
        rates = next_rates(trials, kinds, seed)
        if 0 < number < len(known) and known[0] == trials[0] and known[number].rates == rates:
            trials.append(known[number])
        else:
            with restored(masks):
                update(masks, method.trial(rates))
                found = loss()
            trials.append(Trial(rates, found if math.isfinite(found) else None))
        yield trials[-1]


def next_rates(trials: Sequence[Trial], kinds: Sequence[str], seed: int) -> dict[str, float]:
    """Return the rates of the next trial, a function of the earlier trials and the seed alone.

    Only ratios between kinds matter, so that the first of them keeps its rate.

    Args:
        trials: The trials so far. The first one has the rates of `Isomorphic`, the second one those
            with which layers of a kind are pruned evenly.
        kinds: Kinds of structure.
        seed: Seed of the random steps.

    """
    if len(trials) < 2:
        return dict.fromkeys([*kinds, DEPTH], 1.0) | {EVENNESS: float(len(trials))}
    best = trials[0]
    step = FIRST_STEP
    for number, trial in enumerate(trials[1:], start=1):
        if trial.rank < best.rank:
            best = trial
        if number > 1:
            step = step * GROWTH if best is trial else max(step / GROWTH**0.25, SMALLEST_STEP)
    generator = random.Random(seed_for(seed, "search", len(trials)))
    first, *others = kinds
    factors = {
        name: best.rates[name] * math.exp(step * generator.gauss(0, 1)) for name in (*others, DEPTH)
    }
    evenness = best.rates[EVENNESS] + step / 2 * generator.gauss(0, 1)
    return {first: 1.0, **factors, EVENNESS: max(0.0, evenness)}
