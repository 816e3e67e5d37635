"""What a run would fail at, found before its data are read: a first forward pass over grey images."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from segtrain.config.data_node import own_keys
from segtrain.config.instantiate import REFUSALS, TARGET, check_node
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError, SegtrainError, is_out_of_memory
from segtrain.losses.composite import CompositeLoss

# The data first: the model repeats their number of classes.
GROUPS = ("data", "model", "crops", "augment", "optimizer", "schedule", "inference", "dense_crf")
LISTS = ("loss", "metric", "logger")  # groups of several options, each under its name
PARTIAL = ("crops", "optimizer", "dense_crf")  # they still need their split, model or image


def check_groups(config: dict[str, Any]) -> None:
    """Checks every key of every group against the signature of its target; builds nothing.

    Raises:
        InputError: a key or a type that a target does not take.
    """
    for group in GROUPS:
        if config.get(group) is not None:
            if group == "crops" and config[group] and TARGET not in config[group]:
                key = next(iter(config[group]))
                raise InputError(f"crops.{key}: there are no crops", do="choose them: crops=objects")
            node = own_keys(config[group]) if group == "data" else config[group]
            check_node(node, group, partial=group in PARTIAL)
    for group in LISTS:
        for name, node in (config.get(group) or {}).items():
            if group != "loss" and not (isinstance(node, dict) and TARGET in node):  # build_loss says its own
                raise InputError(f"{group}.{name}: no such {group}", do=f"choose it: {group}=[...,{name}]")
            if isinstance(node, dict):
                own = {k: v for k, v in node.items() if not (group == "loss" and k == "weight")}
                check_node(own, f"{group}.{name}")


def first_forward_pass(
    model: nn.Module,
    loss: CompositeLoss,
    batch_size: int,
    dataset: Augmented,
    classes: int,
    compute: Compute,
) -> None:
    """A forward pass of the network and the loss on one or two images without content.

    Args:
        model: on `compute.device`, in the mode of the training; is left as it was.
        dataset: of the training split; its first sample is read for its size.
        classes: of the data.

    Raises:
        InputError: the network does not take such images, BatchNorm gets one value a channel, the
            classes are not the data's, or the loss lacks an output.
    """
    sample = dataset[0, 0]
    if isinstance(sample, SegtrainError):
        raise sample
    size, loss = sample.mask.shape[:2], copy.deepcopy(loss)
    if loss.wants_frequencies:  # which are counted later
        loss.balance([1.0] * classes)
    loss.check(classes)
    count = min(batch_size, 2)  # one alone is what BatchNorm may refuse
    dtype = torch.uint8 if sample.input.dtype == "uint8" else torch.float32
    images = torch.full((count, sample.input.channels, *size), 127, dtype=dtype, device=compute.device)
    maps = sample.mask.shape[2:]  # of several labels a pixel
    labels = torch.zeros(count, *maps, *size, dtype=torch.uint8, device=compute.device)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        try:
            with compute.autocast():
                outputs = functional_call(model, buffers, images)
        except REFUSALS as error:
            if is_out_of_memory(error):
                raise
            raise InputError(
                f"model: does not take images of {size[0]}×{size[1]}, as data and augment give ({error})",
                do="give larger ones, by augment or data, or choose another model",
            ) from error
        wanted = loss.task.channels(classes)
        if (channels := outputs["out"].shape[1]) != wanted:
            raise InputError(
                f"model.num_classes={channels}, but the data have {classes} classes",
                do=f"leave it at {wanted}",
            )
        loss(outputs, labels)
