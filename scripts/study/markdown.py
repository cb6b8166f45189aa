"""Markdown tables, and pages that contain them."""

import re
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a markdown table."""
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def fill(page: str, tables: dict[str, str]) -> str:
    """Return a page with its tables replaced by the current ones.

    A table is what is between `<!-- table: NAME -->` and `<!-- end -->`.

    Raises:
        SystemExit: If the page names a table that does not exist.

    """

    def current(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise SystemExit(
                f"The page names the table {match['name']}, which has no results. Tables with "
                f"results: {', '.join(tables)}."
            )
        return f"<!-- table: {match['name']} -->\n\n{tables[match['name']]}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (?P<name>[^>]+) -->.*?<!-- end -->", current, page, flags=re.DOTALL)
