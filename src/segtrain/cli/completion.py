"""Tab completion of other libraries' names, which no config lists: `model.backbone.name=convnext_ti<TAB>`.

Everything else is Hydra's: `eval "$(segtrain -sc install=bash)"`, or zsh, or fish.
"""

from collections.abc import Callable


def complete(line: str) -> list[str] | None:
    """What a word that names another library's network may become.

    Args:
        line: the command line up to the cursor.

    Returns:
        Words `KEY=NAME`, in order; None where the last word is none of these keys, or their library
        is not installed.

    Example:
        >>> complete("segtrain model.encoder_name=resnet1")
        ['model.encoder_name=resnet18', 'model.encoder_name=resnet101', ...]
    """
    word = line.split(" ")[-1]
    key, equals, start = word.partition("=")
    if not equals or key not in NAMES:
        return None
    try:
        return [f"{key}={name}" for name in NAMES[key](start)]
    except ImportError:
        return None


def _timm(start: str) -> list[str]:
    import timm

    pretrained = timm.list_pretrained(f"{start}*") if "." in start else []
    return pretrained or timm.list_models(f"{start}*")


def _smp_encoders(start: str) -> list[str]:
    from segmentation_models_pytorch.encoders import get_encoder_names

    return [name for name in get_encoder_names() if name.startswith(start)]


NAMES: dict[str, Callable[[str], list[str]]] = {
    "model.backbone.name": _timm,
    "model.encoder_name": _smp_encoders,
}
