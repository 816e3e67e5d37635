"""Hints: what is proposed for a key that there is not can be taken as it stands."""

import re

import pytest

from segtrain.config.compose import compose_config, plain
from segtrain.config.near_key import near_key
from segtrain.config.schema import check_scalars
from segtrain.config.wording import CONFIG_ERRORS, explain
from segtrain.errors import InputError


def hint(root, argument):
    """What is proposed for an argument whose key there is not; "" for nothing."""
    with pytest.raises(CONFIG_ERRORS) as caught:
        compose_config(root, [argument])
    found = re.search(r"did you mean (.*)\?$", str(explain(caught.value, root, [argument])))
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("argument", "proposed"),
    [
        ("crop=64", ""),  # augment.crop is no number, crops no 64
        ("augment.crp=32", ""),
        ("crop=objects", "crops"),
        ("scale=0.5", ""),  # schedule is a group
        ("shedule=poly", "schedule"),
        ("metrics=[boundary]", "metric"),
        ("dta=my/cells.yaml", "data"),
        ("target=1", ""),  # _target_ is no key of a user's
        ("size=32", "data.size"),
        ("lr=1e-2", "optimizer.lr"),
        ("lrr=0.1", "optimizer.lr"),
        ("loss.wieght=1", "loss.cross_entropy.weight"),
        ("backbone=resnet50", "model/backbone"),
        ("batch_sise=auto", "batch_size"),
        ("root=x", ""),  # report is true or false
        ("data.palete=3", ""),
    ],
)
def test_what_is_proposed_takes_the_value(argument, proposed):
    assert hint("train", argument) == proposed


def leaves(config, prefix=""):
    for name, value in config.items():
        if isinstance(value, dict):
            yield f"{prefix}{name}", value
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_a_slip_is_answered_by_a_key_that_holds_a_value():
    config = plain(compose_config("train", []), resolve=False)
    values = dict(leaves(config))
    found = {}
    for key, value in values.items():
        last = key.rpartition(".")[2]
        if len(last) > 3 and not isinstance(value, dict) and last[0] != "_":
            found[key] = near_key(key[:-2] + key[-1], str(value), config, values)
    assert not [key for key, near in found.items() if near and isinstance(values[near], dict)]
    assert sum(key == near for key, near in found.items()) > 0.9 * len(found) > 50


def test_a_key_that_was_added_is_answered_by_one_of_this_command():
    config = plain(compose_config("train", ["+ckp=3", "+cropss=64"]), resolve=False)
    with pytest.raises(InputError, match=r"^ckp: no such key; see --help"):  # ckpt is segeval's
        check_scalars(config)
