"""Pages of the site that are files outside of `docs`, and links to other such files.

Links in the repository are those that work where it is hosted; here they are made to fit the site.
"""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from scripts.docs.notebook import to_page

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
    """Add the pages, and the figures of the notebook."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    page = to_page(json.loads(NOTEBOOK.read_text()), "images/quickstart")
    files.append(File.generated(config, "quickstart.md", content=page.text))
    for path, content in page.figures.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the text of a page with links that fit the site; code is named, not linked."""
    for link, inside in LINKS.items():
        markdown = markdown.replace(link, inside)
    return CODE.sub(r"`\1`", markdown)
