"""The site's page of options, which is made from the files below configs/."""

import pytest
import yaml

from scripts.docs.reference import NARROW, narrowed, option, options, prose, with_code
from segtrain.config.compose import CONFIG_DIR

OPTIONS = sorted(CONFIG_DIR.rglob("*/*.yaml"))


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: str(path.relative_to(CONFIG_DIR)))
def test_an_option_says_what_it_is_and_its_page_has_its_keys(path):
    heading, about, block = option(path).split("\n\n", 2)[0], *option(path).split("\n\n```yaml\n")
    assert about.removeprefix(heading).strip(), "the file begins with a comment that says what it is"
    keys = block.removesuffix("\n```\n")
    assert yaml.safe_load(keys) == yaml.safe_load(path.read_text())
    assert all(len(line) <= NARROW or " # " not in line for line in keys.splitlines())


def test_every_group_is_introduced():
    found = options()
    for folder in {path.parent for path in OPTIONS}:
        assert f"\n## {folder.relative_to(CONFIG_DIR)}\n" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("with data.folds=5, or", "with `data.folds=5`, or"),
        ("add it: loss=[dice,boundary]", "add it: `loss=[dice,boundary]`"),
        ("Command: segtrain a=b c.d=e (stage 1's)", "Command: `segtrain a=b c.d=e` (stage 1's)"),
        ("the end is model.tile=388.", "the end is `model.tile=388`."),
        ("the rate (val_every= says when)", "the rate (`val_every=` says when)"),
        ("`final` of 70.5 (section 4.1), et al. 2015", "`final` of 70.5 (section 4.1), et al. 2015"),
        ("59_labels.txt and _train.prototxt", "`59_labels.txt` and `_train.prototxt`"),
        ("https://a.org/b_c (which", "<https://a.org/b_c> (which"),
        ("(make install EXTRAS=geo)", "(`make install EXTRAS=geo`)"),
    ],
)
def test_keys_commands_and_files_become_code(text, expected):
    assert with_code(text) == expected


def test_what_departs_and_the_command_are_paragraphs_of_their_own():
    said = [
        "# @package _global_",
        "# A recipe, 0.83 on",
        "# 10 images",
        "# Departs: no",
        "# COCO.",
        "# 1. segtrain a=b",
    ]
    assert prose(said) == "A recipe, 0.83 on 10 images\n\nDeparts: no COCO.\n\n1. `segtrain a=b`"


def test_a_long_comment_goes_on_below_itself_or_above_a_long_key():
    words = "word " * 14
    first, second = narrowed(f"  key: null # {words}").splitlines()
    assert second.index("#") == first.index("#")
    *above, last = narrowed(f"  key: {{{'a: 1, ' * 10}}} # {words}").splitlines()
    assert all(line.startswith("  # word") for line in above)
    assert last.endswith("}")
