"""The number of classes of a data set that finds it in its files: models are built by it."""

from omegaconf import DictConfig, OmegaConf

from segtrain.config.instantiate import instantiate


def fill_num_classes(config: DictConfig) -> None:
    """Sets `data.num_classes` where it is null: the data set is made, and counts its classes.

    Args:
        config: composed, its interpolations not yet resolved.

    Raises:
        InputError: the data set cannot be made.
    """
    node = config.get("data")
    if node is None or "num_classes" not in node or node.num_classes is not None or "_target_" not in node:
        return
    node.num_classes = len(instantiate(OmegaConf.to_container(node, resolve=True), "data").class_names)
