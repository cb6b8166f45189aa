"""What happens to the rest? Compensation: the remaining weights compensate for pruned groups."""

from abc import ABC, abstractmethod

from torch import Tensor


class Compensation(ABC):
    """A linear prediction of pruned activations from kept ones, which is folded into parameters.

    The activations are the inputs of attn_out and mlp_out (values of heads, neurons), and the
    dimensions of queries and keys in a head that loses some of them. A layer with weight W and bias
    b reads x, of which the part R is pruned and K is kept. With x_R = B x_K + c,

        W_K += W_R B,    b += W_R c,    c = E[x_R] - B E[x_K],

    and a pruned branch leaves its mean output in the bias. Attention scores are q_K k_K + q_R k_R,
    up to terms that are the same for all keys, which softmax ignores. With q_R = B q_K + c and
    k_R = D k_K + d,

        q_K += D^T (B q_K + c),

    which changes rows of the query weight and its bias. A layer without a bias cannot take over c:
    B then is the prediction without c. Single weights that are pruned inside kept inputs stay
    pruned. Queries and keys with rotary embeddings are not compensated.

    Moments are those of the model before the round, which needs a single pass. After `Ridge`,
    `prune` fits attn_out and mlp_out again, block after block (see `refit`).

    Cost: A forward pass over the calibration images, and n^2 float64 numbers for each layer of n
    inputs.

    Attributes:
        refit_damping: Damping of `refit` after one-shot pruning; None if nothing is fitted again.

    """

    refit_damping: float | None = None

    @abstractmethod
    def coefficients(self, moments: Tensor, kept: Tensor) -> Tensor:
        """Return B, which predicts pruned activations from kept ones, (pruned, kept), float64.

        Args:
            moments: Covariance of all activations, or E[x x^T] without a bias that could take over
                the mean, (n, n), float64.
            kept: Which activations are kept, boolean (n,).

        """
