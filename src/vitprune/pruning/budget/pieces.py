"""To which dimensions the weights of attentions and MLPs are proportional."""

from collections.abc import Iterator
from dataclasses import dataclass

from vitprune.model.anatomy.records import Attention, Branch, Dimension, Rows

Factors = tuple[tuple[Dimension, ...], ...]  # see `Term`
STREAM: Factors = ((Dimension("width"),),)


@dataclass(frozen=True)
class Piece:
    """The weight of a layer, or an equal part of its outputs.

    Attributes:
        layer: Name of the layer.
        share: Which part of the layer it is, in (0, 1].
        rows: Factors of the number of outputs.
        columns: Factors of the number of inputs.

    """

    layer: str
    share: float
    rows: Factors
    columns: Factors


def pieces_of(branch: Branch) -> Iterator[Piece]:
    """Yield the pieces of all weights of a branch."""
    if isinstance(branch, Attention):
        inner = heads(branch)
        inputs = (branch.query, branch.key, branch.value)
        yield from (_reader(rows, inner) for rows in inputs)
        yield Piece(branch.output, 1, rows=STREAM, columns=inner)
        return
    neurons: Factors = ((Dimension("neurons", branch),),)
    yield _reader(branch.up, neurons)
    if branch.gate:
        yield _reader(branch.gate, neurons)
    if branch.depthwise:
        yield Piece(branch.depthwise, 1, rows=neurons, columns=())
    yield Piece(branch.down, 1, rows=STREAM, columns=neurons)


def heads(attention: Attention) -> Factors:
    """Return the factors of the heads and their dimensions, as a smaller model has them."""
    return ((Dimension("heads", attention),), Dimension("value", attention).as_wide)


def whole(branch: Branch) -> Factors:
    """Return the factor of a branch as a whole."""
    return ((Dimension("branch", branch),),)


def _reader(rows: Rows, inner: Factors) -> Piece:
    return Piece(rows.layer, 1 / rows.parts, rows=inner, columns=STREAM)
