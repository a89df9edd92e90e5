"""Parts of a page without script or links outside, to be mailed or kept beside a release."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

CSS = Path(__file__).with_name("page.css")

Html = str
Rows = Iterable[Sequence[str]]


def document(title: str, body: Html) -> Html:
    """Return a whole page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS.read_text(encoding='utf-8')}</style></head><body>{body}</body></html>\n"
    )


def tile(value: str, text: str, style: str = "") -> Html:
    """Return one large figure with what it is below; both are text."""
    return f'<div class="tile {style}"><b>{escape(value)}</b><span>{escape(text)}</span></div>'


def table(head: Sequence[str], rows: Rows, caption: str = "", ours: int = 0) -> Html:
    """Return a table of cells that are HTML; the first `ours` rows stand out."""
    titles = "".join(f"<th>{each}</th>" for each in head)
    body = "".join(
        f'<tr class="{"ours" if place < ours else ""}">{"".join(f"<td>{cell}</td>" for cell in row)}</tr>'
        for place, row in enumerate(rows)
    )
    told = f"<caption>{caption}</caption>" if caption else ""
    return f'<div class="scroll"><table>{told}<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
