"""What every layout of an authors' checkpoint declares, and what several have in common.

Layouts of methods.md 8. The names of the UNet and the VAE are those of Stable Diffusion's original checkpoints
(`diffperc.weights.ldm_names`); each layout lists the rest, module by module.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from diffperc.errors import ConfigError, WeightsError, did_you_mean
from diffperc.weights.ldm_names import ModuleNames

State = Mapping[str, Tensor]
# where strategy and head are in a task
STRATEGY, HEAD = "model.strategy", "model.head"


class Layout(ABC):
    """One kind of checkpoint, with the widths that follow from its tensors.

    Attributes:
        kind: its name.
        markers: prefixes of tensors' names by which the kind is recognised.
        root: the prefix of the names of UNet and VAE.
        experiments: by data set, the experiment that describes the model.
        absent: prefixes of names in this project whose tensors the authors deleted, because nothing reads them.
        aliases: a pattern that matches the names of further copies of the UNet's output layers.

    Args:
        state: the tensors, without wrappers.
    """

    kind: ClassVar[str]
    markers: ClassVar[tuple[str, ...]]
    root: ClassVar[str] = ""
    experiments: ClassVar[dict[str, str]]
    absent: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[re.Pattern[str] | None] = None

    def __init__(self, state: State) -> None:
        self.state = state

    @abstractmethod
    def modules(self) -> ModuleNames:
        """The modules and tensors of strategy and head: the authors' names, and the names here."""

    @abstractmethod
    def widths(self) -> list[str]:
        """Overrides of the experiment that follow from the tensors' shapes."""

    def dataset(self, wanted: str | None) -> str:
        """The data set it was trained on.

        Args:
            wanted: the user's choice; None: the only one that is possible, else the first.

        Raises:
            ConfigError: there is no such checkpoint for that data set.
        """
        possible = self.alternatives()
        if wanted is not None and wanted not in possible:
            raise ConfigError(
                f"trained_on: this {self.kind} checkpoint is not one of '{wanted}'{did_you_mean(wanted, possible)}"
            )
        return wanted or possible[0]

    def alternatives(self) -> tuple[str, ...]:
        """Data sets on which this checkpoint may have been trained; its tensors do not determine which one."""
        return tuple(self.experiments)

    def size(self, name: str, axis: int) -> int:
        """The size of one tensor along one axis.

        Raises:
            WeightsError: the tensor is missing, or has fewer axes.
        """
        if name not in self.state:
            raise WeightsError(f"a {self.kind} checkpoint without '{name}': the file is incomplete or damaged.")
        shape = tuple(self.state[name].shape)
        if len(shape) <= axis:
            raise WeightsError(f"a {self.kind} checkpoint with '{name}' of shape {shape}: the file is damaged.")
        return shape[axis]

    def dataset_with_classes(self, classifier: str, known: Mapping[str, int]) -> str:
        """The data set that has as many classes as the classifier has outputs.

        Args:
            classifier: name of its weight.
            known: number of classes by data set.

        Raises:
            WeightsError: there is none.
        """
        count = self.size(classifier, 0)
        for dataset, classes in known.items():
            if classes == count:
                return dataset
        listed = ", ".join(f"{dataset} {classes}" for dataset, classes in known.items())
        raise WeightsError(f"'{classifier}' has {count} classes; known: {listed}.")


class DepthLayout(Layout):
    """A depth model, whose decoder has the same names in all methods; VPD and ECoDepth also have the same neck."""

    root = "encoder."

    def aggregation_modules(self) -> ModuleNames:
        """The modules of VPD's neck: the authors' names, and the names here."""
        return {
            "encoder.layer1": f"{HEAD}.aggregation.fine",
            "encoder.layer2.0": f"{HEAD}.aggregation.middle",
            "encoder.out_layer": f"{HEAD}.aggregation.fuse",
        }

    def aggregation_widths(self) -> list[str]:
        """Overrides that follow from the neck's shapes."""
        return [f"head.neck_channels={self.size('encoder.out_layer.0.weight', 0)}"]

    def decoder_modules(self) -> ModuleNames:
        """The modules of the decoder: the authors' names, and the names here."""
        return {
            "decoder.deconv_layers": f"{HEAD}.decoder.0",
            "decoder.conv_layers": f"{HEAD}.decoder.1",
            "last_layer_depth": f"{HEAD}.output",
        }

    def decoder_widths(self) -> list[str]:
        """Overrides that follow from the decoder's shapes."""
        return [
            f"head.filters={self.size('decoder.deconv_layers.0.weight', 1)}",
            f"head.channels={self.size('decoder.conv_layers.0.weight', 0)}",
        ]


def mmcv_block(theirs: str, ours: str) -> ModuleNames:
    """A convolution with norm: mmcv's module, and the `Sequential` here."""
    return {f"{theirs}.conv": f"{ours}.0", f"{theirs}.bn": f"{ours}.1"}
