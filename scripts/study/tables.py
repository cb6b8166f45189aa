"""Which rows at which sparsities make up a table."""

from dataclasses import dataclass

LEARNING_RATES = (3e-4, 1e-4, 1e-3)


@dataclass(frozen=True)
class Part:
    """Some rows at some sparsities, trained with some seeds."""

    rows: tuple[str, ...]
    sparsities: tuple[float, ...] = (0.8,)
    seeds: int = 1


TABLES: dict[str, tuple[Part, ...]] = {
    "first": (Part(("at once", "the article, at once")),),
}

FIGURES: dict[str, tuple[str, ...]] = {}
