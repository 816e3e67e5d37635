"""The number of classes of a data set."""

from segtrain.errors import InputError


def check_num_classes(data: str, num_classes: int, class_names: tuple[str, ...]) -> None:
    """Raises InputError where `data.num_classes` is not what the data set has."""
    if num_classes != len(class_names):
        raise InputError(
            f"data.num_classes={num_classes}, but {data} has {len(class_names)} classes",
            do=f"leave it at {len(class_names)}",
        )
