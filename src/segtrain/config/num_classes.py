"""The number of classes of a data set that finds it in its files: models are built by it."""

from omegaconf import DictConfig, OmegaConf

from segtrain.config.data_node import make_data


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
    plain_node = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain_node, dict)
    node.num_classes = len(make_data({str(key): value for key, value in plain_node.items()}).class_names)
