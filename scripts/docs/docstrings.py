"""For mkdocstrings: our docstrings say `Example:`, which griffe takes for a note; its word is `Examples:`."""

from typing import Any

import griffe


class OneExample(griffe.Extension):
    """Renames the section."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every object that griffe has read."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
