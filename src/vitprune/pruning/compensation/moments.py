"""First and second moments of the inputs of a layer."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Moments of activations over tokens.

    Attributes:
        mean: E[x], (n,), float64.
        second: E[x x^T], (n, n), float64.

    """

    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """Covariance, (n, n)."""
        return self.second - self.mean.outer(self.mean)

    def about(self, *, mean: bool) -> Tensor:
        """Return the covariance if something takes over the mean, else the second moments."""
        return self.covariance if mean else self.second

    def of_map(self, weight: Tensor, bias: Tensor) -> "Moments":
        """Return the moments of W x + b.

        Args:
            weight: W, (m, n), float64.
            bias: b, (m,), float64.

        """
        mean = weight @ self.mean + bias
        return Moments(mean, weight @ self.covariance @ weight.T + mean.outer(mean))


class InputMoments:
    """Collects the moments of the inputs of layers; see `calibrate`.

    A one is appended to each input, so that products of inputs include their sums and number.
    """

    needs_gradients = False
    observes_outputs = False

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return the products of inputs, (in + 1, in + 1)."""
        tokens = inputs.flatten(0, 1)
        mean = tokens.mean(0)
        centred = tokens - mean  # as the covariance is a small difference of float32 products
        mean, rest = mean.double(), centred.sum(0, dtype=torch.float64)
        total = rest + len(tokens) * mean
        products = tokens.new_empty(len(mean) + 1, len(mean) + 1, dtype=torch.float64)
        products[:-1, :-1] = centred.T @ centred
        products[:-1, :-1] += mean.outer(total) + rest.outer(mean)
        products[-1, :-1] = total
        products[:-1, -1] = total
        products[-1, -1] = len(tokens)
        return products

    def conclude(self, mean: Tensor) -> Tensor:
        """Return means over tokens: E[x x^T] with E[x] in the last column and 1 in the corner."""
        return mean / mean[-1, -1]

    @staticmethod
    def read(statistic: Tensor) -> Moments:
        """Return the moments in a statistic."""
        return Moments(statistic[-1, :-1], statistic[:-1, :-1])
