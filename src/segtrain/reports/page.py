"""Pages that people look at: one HTML file that holds all that it shows, and asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from segtrain.files import write_bytes

TEMPLATES = Path(__file__).parent / "templates"
LARGEST = 15_000_000  # bytes of a page, that it can be sent by mail


@cache
def _environment() -> Environment:
    """The templates; whatever they are given is escaped, but for `Markup`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["css"] = Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))
    made.globals["js"] = Markup((TEMPLATES / "page.js").read_text(encoding="utf-8"))
    return made


def page(title: str, template: str, context: Mapping[str, Any]) -> str:
    """Makes a page. The same input gives the same bytes.

    Args:
        title: of the page.
        template: a file of `templates/`, which extends `base.html`: its block `main` holds the sections,
            made by the macros of `macros.html`.
        context: what the template shows; text is escaped, `Markup` is not.

    Returns:
        The HTML, with the styles and the JavaScript in it.

    Example:
        >>> page("Three models", "comparison.html", {"table": runs})
    """
    return _environment().get_template(template).render({"title": title, **context})


def write_page(path: Path, html: str) -> None:
    """Writes a page, whole or not at all. Raises SaveError."""
    write_bytes(path, html.encode())
