"""A self-contained HTML page: headings, paragraphs, tables, and figures as embedded images."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light; }
body {
  margin: 0;
  font: 16px/1.5 system-ui, "Liberation Sans", sans-serif;
  color: #1b1b1b;
  background: #fff;
}
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #ddd; }
p { max-width: 45rem; margin: .5rem 0; }
p.lead { color: #555; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td {
  padding: .3rem .9rem .3rem 0;
  text-align: right;
  border-bottom: 1px solid #eee;
  vertical-align: top;
}
th { font-weight: 600; border-bottom-color: #999; white-space: nowrap; }
th:first-child, td:first-child, table.words td { text-align: left; }
table.words td:first-child { white-space: nowrap; color: #555; }
table.words td { overflow-wrap: anywhere; }
figure { margin: .75rem 0; overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; }
@media (max-width: 40rem) { figure img { max-width: none; width: 38rem; } }
@media print {
  main { max-width: none; }
  h2 { break-after: avoid; }
  figure, table { break-inside: avoid; }
}
"""


class Page:
    """A page that is built section by section.

    Args:
        title: Heading and title of the page.
        lead: Sentence below the heading.

    """

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self.parts = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead)}</p>']

    def heading(self, text: str) -> None:
        """Start a section."""
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table of numbers; the first column is text."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        self.parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{_body(rows)}</table></div>'
        )

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Add a table of names and values."""
        self.parts.append(f'<div class="scroll"><table class="words">{_body(rows)}</table></div>')

    def figure(self, figure: Figure, description: str) -> None:
        """Embed a figure; the description is its alternative text."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
        self._image(buffer.getvalue(), description)

    def picture(self, path: Path, description: str) -> None:
        """Embed a PNG file; the description is its alternative text."""
        self._image(path.read_bytes(), description)

    def _image(self, png: bytes, description: str) -> None:
        data = base64.b64encode(png).decode()
        self.parts.append(
            f'<figure><img src="data:image/png;base64,{data}" alt="{escape(description)}"></figure>'
        )

    def html(self) -> str:
        """Return the page as HTML."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>\n"
            f"<body><main>\n{chr(10).join(self.parts)}\n</main></body></html>\n"
        )


def _body(rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "<tbody>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</tbody>"
