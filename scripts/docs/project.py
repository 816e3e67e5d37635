"""Pages that are files of the repository: contributing, changelog, citation, and the notebook's cells."""

import json
import re
from pathlib import Path

import yaml


def project_pages(root: Path) -> dict[str, str]:
    """Markdown by the path below docs/."""
    return {
        "reference/contributing.md": moved((root / "CONTRIBUTING.md").read_text()),
        "reference/changelog.md": moved((root / "CHANGELOG.md").read_text()),
        "reference/citation.md": citation(yaml.safe_load((root / "CITATION.cff").read_text())),
        "reference/notebook.md": notebook(json.loads((root / "docs/quickstart.ipynb").read_text())),
    }


def moved(text: str) -> str:
    """Links to docs/ lead there from docs/reference/; links to other files become their names."""
    text = re.sub(r"\]\(docs/", "](../", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|\.\./|#)[^)]+\)", r"\1", text)


def citation(about: dict[str, object]) -> str:
    """CITATION.cff in words and as BibTeX."""
    title, abstract, version = about["title"], str(about["abstract"]).rstrip("."), about["version"]
    return f"""# Citation

Cite segtrain, and the papers whose models you use: [The papers](../papers/index.md) names them.

```bibtex
@software{{{title},
  title   = {{{title}: {abstract}}},
  author  = {{{{The segtrain authors}}}},
  version = {{{version}}},
}}
```

A reader repeats a run by its `config.yaml`: it holds every value, the versions and the git commit.
"""


def notebook(cells: dict[str, list[dict[str, object]]]) -> str:
    """The cells of a notebook one after another."""
    about = (
        "`docs/quickstart.ipynb`, cell by cell. `make install EXTRAS=notebook` brings JupyterLab and its"
        " progress bars; `jupyter lab docs/quickstart.ipynb` opens it.\n"
    )
    parts = [about]
    for cell in cells["cells"]:
        source = "".join(cell["source"])  # type: ignore[arg-type]
        parts.append(f"```python\n{source}\n```\n" if cell["cell_type"] == "code" else f"{source}\n")
    title, *rest = parts[1].split("\n", 1)
    return "\n".join([title, "", parts[0], *rest, *parts[2:]])
