"""Tables of a page, and the same ones for papers and for programs: LaTeX, Markdown, CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segtrain.files import write_bytes


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: as it is shown.
        value: the whole number, to the last digit; None for text and where there is none.
        note: below the text, small.
        shade: from 0 to 1, of a heat map's cell; None leaves it as it is.
        best: whether it is its column's best.
        dots: values from 0 to 1 of a row of dots, one a seed.
    """

    text: str
    value: float | int | None = None
    note: str = ""
    shade: float | None = None
    best: bool = False
    dots: tuple[float, ...] = ()


class PageTable(NamedTuple):
    """A table: rows of as many cells as there are columns.

    Attributes:
        name: of its files, unique on the page.
        caption: above it.
        columns: titles; `numbers`: which of them hold numbers, of any length as `columns`.
        rows: the cells.
        unsorted: whether its order is meant, and no column sorts.
    """

    name: str
    caption: str
    columns: Sequence[str]
    numbers: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    unsorted: bool = False

    def write(self, folder: Path) -> None:
        """Writes `NAME.csv`, `NAME.md` and `NAME.tex`. Raises SaveError."""
        for suffix, text in (("csv", as_csv(self)), ("md", as_markdown(self)), ("tex", as_latex(self))):
            write_bytes(folder / f"{self.name}.{suffix}", text.encode())


def text_cells(*texts: object) -> list[Cell]:
    """Cells of plain text, one each."""
    return [Cell(str(text)) for text in texts]


def as_csv(table: PageTable) -> str:
    """The table with whole numbers."""
    import csv
    import io

    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([cell.text if cell.value is None else cell.value for cell in row])
    return file.getvalue()


def as_markdown(table: PageTable) -> str:
    """The table as it is shown.

    Example:
        >>> print(as_markdown(PageTable("t", "", ["run"], [False], [[Cell("a|b")]])))
        | run |
        | --- |
        | a\\|b |
    """

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"

    rule = ["--:" if number else "---" for number in table.numbers]
    lines = [line(table.columns), line(rule).replace("\\|", "|")]
    return "\n".join([*lines, *(line([_noted(cell) for cell in row]) for row in table.rows)]) + "\n"


def as_latex(table: PageTable) -> str:
    """The table for a paper, by the package booktabs; what is best in its column is bold."""

    def line(texts: Sequence[str]) -> str:
        return "  " + " & ".join(texts) + r" \\"

    def shown(cell: Cell) -> str:
        text = escaped_for_latex(_noted(cell))
        return rf"\textbf{{{text}}}" if cell.best else text

    columns = "".join("r" if number else "l" for number in table.numbers)
    lines = ["% \\usepackage{booktabs}", rf"\begin{{tabular}}{{{columns}}}", r"  \toprule"]
    lines += [line([escaped_for_latex(title) for title in table.columns]), r"  \midrule"]
    lines += [line([shown(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, r"  \bottomrule", r"\end{tabular}", ""])


def _noted(cell: Cell) -> str:
    return f"{cell.text} {cell.note}" if cell.note else cell.text


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "…": r"\dots{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def escaped_for_latex(text: str) -> str:
    """Text that LaTeX prints as it is: `escaped_for_latex("50 %")` is `50 \\%`."""
    return "".join(LATEX.get(character, character) for character in text)
