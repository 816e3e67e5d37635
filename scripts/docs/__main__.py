"""Writes the pages of docs/ that are made from the code: `make docs` calls `python -m scripts.docs`."""

from pathlib import Path

from scripts.docs.papers import paper_pages
from scripts.docs.project import project_pages
from scripts.docs.reference import reference_pages

DOCS = Path(__file__).parent.parent.parent / "docs"


def main() -> None:
    """Writes docs/papers/ and docs/reference/, which git ignores."""
    for name, text in (paper_pages() | reference_pages() | project_pages(DOCS.parent)).items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
