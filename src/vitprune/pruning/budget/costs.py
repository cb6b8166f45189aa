"""What a model costs, as a function of the shares of its dimensions that are kept."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from vitprune.model.anatomy.records import Dimension

Shares = Mapping[Dimension, float]  # kept shares in [0, 1]; 1 for a dimension that is not listed


class Costs(ABC):
    """What a model costs, from all of its dimensions to none."""

    @abstractmethod
    def at(self, shares: Shares) -> float:
        """Return the cost of the model with these shares of its dimensions."""

    @cached_property
    def dense(self) -> float:
        """The cost of the whole model."""
        return self.at({})

    def saved_by(self, dimension: Dimension) -> float:
        """Return what the model would save without this dimension.

        Of dimensions that are as wide as each other, each saves an equal share.
        """
        together = dimension.as_wide
        return (self.dense - self.at(dict.fromkeys(together, 0.0))) / len(together)

    def removed(self, shares: Shares) -> float:
        """Return the fraction of the cost that is removed, in [0, 1]."""
        return 1 - self.at(shares) / self.dense


@dataclass(frozen=True)
class Term:
    """A part of the cost that is proportional to dimensions.

    Attributes:
        cost: Cost of this part in the whole model.
        factors: It is proportional to the kept share of each of these. A factor of several
            dimensions is the largest of their shares: a head is as wide as its values or its
            queries and keys need.

    """

    cost: float
    factors: tuple[tuple[Dimension, ...], ...] = ()

    def at(self, shares: Shares) -> float:
        """Return the cost of this part."""
        return self.cost * prod(max(shares.get(one, 1.0) for one in each) for each in self.factors)


@dataclass(frozen=True)
class Sum(Costs):
    """A sum of terms.

    Attributes:
        terms: The parts of the cost.

    """

    terms: tuple[Term, ...]

    def at(self, shares: Shares) -> float:
        """See the base class."""
        return sum(term.at(shares) for term in self.terms)
