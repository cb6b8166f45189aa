"""Pages of the site that are files outside of `docs`, and links to other such files.

Links in the repository are those that work where it is hosted; here they are made to fit the site.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
PAGES = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
# links into the site, from files outside of `docs` and to them
LINKS = {
    "](docs/": "](",
    "](README.md)": "](index.md)",
    "](../CHANGELOG.md)": "](changelog.md)",
    "](../CONTRIBUTING.md)": "](contributing.md)",
    "](../examples/quickstart.ipynb)": "](quickstart.md)",
}
CODE = re.compile(r"\[[^]]*\]\(\.\./(src/[^)]*)\)")  # a link to a file or folder of code


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the figures of the notebook."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    parts = []
    for index, (text, figure) in enumerate(_cells(json.loads(NOTEBOOK.read_text()))):
        if figure is not None:
            name = f"images/quickstart_{index}.png"
            files.append(File.generated(config, name, content=figure))
            text = f"![{text}]({name})"
        parts.append(text)
    files.append(File.generated(config, "quickstart.md", content="\n\n".join(parts)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the text of a page with links that fit the site; code is named, not linked."""
    for link, inside in LINKS.items():
        markdown = markdown.replace(link, inside)
    return CODE.sub(r"`\1`", markdown)


def _cells(notebook: dict[str, Any]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the Markdown of a notebook; for a figure its text and its PNG."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source, None
            continue
        yield f"```python\n{source}\n```", None
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                text = "".join(data.get("text/plain", "figure"))
                yield text, base64.b64decode(data["image/png"])
            elif text := "".join(output.get("text", data.get("text/plain", ""))):
                yield f"```text\n{text.rstrip()}\n```", None
