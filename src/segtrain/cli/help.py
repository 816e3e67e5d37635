"""`--help` by itself, in half of Hydra's time: that reads and copies every option's file to list them."""

import string

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from segtrain.cli.compose import CONFIG_DIR


def help_text(root: str) -> str:
    """What Hydra prints for `--help` alone, of the root config `root`."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose(root, return_hydra_config=True)
    template = string.Template(config.hydra.help.template)
    with open_dict(config):
        del config["hydra"]
    return template.substitute(APP_CONFIG_GROUPS=_groups(), CONFIG=OmegaConf.to_yaml(config))


def _groups() -> str:
    """A line for each folder of configs with its options."""
    options: dict[str, list[str]] = {}
    for path in CONFIG_DIR.rglob("*.yaml"):
        if path.parent != CONFIG_DIR:
            options.setdefault(path.parent.relative_to(CONFIG_DIR).as_posix(), []).append(path.stem)
    return "".join(f"{group}: {', '.join(sorted(names))}\n" for group, names in sorted(options.items()))
