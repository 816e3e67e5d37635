"""The field's words, one word a thing (CONTRIBUTING, "Words"): in code, configs, messages and docs."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(p for folder in ("src", "scripts", "tests") for p in (ROOT / folder).rglob("*.py"))
TEXTS = [*sorted((ROOT / "configs").rglob("*.yaml")), *sorted((ROOT / "docs").glob("*.md"))] + [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile")
]

# word -> what to say instead; whole words, in identifiers between underscores and capitals
NOT_SAID = {
    "picture": "image",
    "pictures": "images",
    "figures": "metrics",
    "labelled": "annotated, with labels, predicted",
    "void": "ignored, ignore_index",
    "hole": "dilation",
    "holes": "dilation",
    "deviation": "std",
    "deviations": "std",
    "likeliest": "argmax, most probable",
    "trunk": "backbone",
    "outs": "out_channels",
    "told": "log, show, report",
    "tell": "log, show, report",
    "hung": "splat",
    "likelier": "more probable",
}
NOT_NAMES = {"inner", "reach", "ahead", "places", "turns", "ways"}  # as identifiers, beside those above
ALLOWED = {
    "src/segtrain/crf/cpu/arrays.py": {"void"},  # LLVM's type
    "src/segtrain/crf/cpu/vectors.py": {"void"},
    "tests/test_vocabulary.py": set(NOT_SAID) | NOT_NAMES,
}


def words(text: str) -> set[str]:
    """The words of a text or of an identifier, in lower case: `VoidColour` has void and colour."""
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)}


def found(path: Path) -> set[str]:
    if path.suffix != ".py":
        return words(path.read_text()) & set(NOT_SAID)
    result = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            result |= words(token.string) & (set(NOT_SAID) | NOT_NAMES)
        elif (
            token.type in (tokenize.STRING, tokenize.COMMENT)
            or token.type >= tokenize.N_TOKENS
            or tokenize.tok_name[token.type].startswith("FSTRING")
        ):
            result |= words(token.string) & set(NOT_SAID)
    return result


@pytest.mark.parametrize("path", [*FILES, *TEXTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_fields_words_are_used(path):
    name = str(path.relative_to(ROOT))
    bad = (found(path) | words(path.stem) & set(NOT_SAID)) - ALLOWED.get(name, set())
    assert not bad, {word: NOT_SAID.get(word, "the field's term") for word in bad}


def test_bands_are_an_images_channels_and_rows_come_in_blocks():
    rows = [
        p for folder in ("inference", "evaluation") for p in (ROOT / "src/segtrain" / folder).glob("*.py")
    ]
    for path in [*rows, ROOT / "src/segtrain/sizes.py"]:
        assert not words(path.read_text()) & {"band", "bands"}, path
