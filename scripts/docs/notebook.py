"""A notebook as a page of Markdown."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page and its figures.

    Attributes:
        text: Markdown.
        figures: Content of PNG files by their path on the site.

    """

    text: str
    figures: Mapping[str, bytes]


def to_page(notebook: dict[str, Any], folder: str) -> Page:
    """Return the cells of a notebook and what they printed and drew, without warnings.

    Args:
        notebook: Content of the file.
        folder: Folder of the figures on the site.

    """
    figures: dict[str, bytes] = {}
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        if printed := "".join(_printed(cell["outputs"])).strip():
            parts.append(f"```text\n{printed}\n```")
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                path = f"{folder}/{len(figures)}.png"
                figures[path] = base64.b64decode(output["data"]["image/png"])
                parts.append(f"![figure of the code above]({path})")
    return Page("\n\n".join(parts), figures)


def _printed(outputs: list[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        if output["output_type"] == "stream" and output["name"] == "stdout":
            yield "".join(output["text"])
        elif output["output_type"] == "execute_result":
            yield "".join(output["data"].get("text/plain", ""))
