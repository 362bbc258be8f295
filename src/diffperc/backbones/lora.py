"""Low-rank adapters of the UNet's attention, by peft (Hu et al., "LoRA", 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor, nn

from diffperc.errors import ConfigError, WeightsError
from diffperc.ranges import Count
from diffperc.weights.quiet import quiet_loading
from diffperc.weights.read import read_state

FILE = "pytorch_lora_weights.safetensors"
"""The name that diffusers gives to a file of adapters, and looks for in a folder."""
_ENDS = (".lora_A.default.weight", ".lora_B.default.weight")


class LoraOptions(TypedDict, total=False):
    """What adapters have, see `conf/lora`.

    Attributes:
        rank: r, of the product B A that is added to a weight.
        alpha: B A is multiplied by alpha / rank; null: the rank, a factor of 1.
        modules: ends of the names of the layers of the UNet that get adapters.
        pretrained: a file or folder of adapters to begin with; null: B = 0, which changes nothing yet.
    """

    rank: Count
    alpha: Count | None
    modules: Sequence[str]
    pretrained: str | None


def add_lora(unet: Any, options: LoraOptions) -> None:
    """Give adapters to a diffusers UNet.

    Raises:
        ConfigError: peft is not installed, an option is missing or unknown, or no layer has such a name.
        WeightsError: the file of adapters is damaged or does not fit.
    """
    for key in options.keys() - LoraOptions.__annotations__.keys():
        raise ConfigError(
            f"backbone.lora.{key}: nothing reads this key. Known: {', '.join(LoraOptions.__annotations__)}"
        )
    for key in ("rank", "modules"):
        if not options.get(key):
            raise ConfigError(f"backbone.lora.{key} is missing; lora=rank8 sets all of backbone.lora.")
    rank, modules = options["rank"], list(options["modules"])
    for wanted in modules:
        if not any(name.endswith(f".{wanted}") for name, _ in unet.named_modules()):
            raise ConfigError(f"backbone.lora.modules: no layer of the UNet has a name that ends in '{wanted}'.")
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigError("backbone.lora needs peft: pip install 'diffperc[memory]'.") from error
    try:
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=options.get("alpha") or rank, target_modules=modules))
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"backbone.lora: peft does not take these options ({str(error).splitlines()[0]}).") from error
    if options.get("pretrained") is not None:
        _load(unet, Path(str(options["pretrained"])).expanduser())


def is_adapter(name: str) -> bool:
    """Whether a parameter of the UNet belongs to an adapter, by its name."""
    return name.endswith(_ENDS)


def save_lora(unet: Any, folder: str | Path) -> Path:
    """Write the adapters alone, in the form that diffusers reads (``pipe.load_lora_weights`` and ``load_lora_adapter``).

    Returns:
        The file.
    """
    with quiet_loading():
        unet.save_lora_adapter(str(folder), weight_name=FILE)
    return Path(folder) / FILE


def merge_lora(module: nn.Module) -> None:
    """Add adapters to the weights that they adapt, wherever there are some; the layers are plain ones then."""
    child: Any
    for child in module.modules():
        if getattr(child, "peft_config", None) and hasattr(child, "fuse_lora"):
            child.fuse_lora()
            child.unload_lora()


def _load(unet: Any, path: Path) -> None:
    from peft.utils import set_peft_model_state_dict

    file = path / FILE if path.is_dir() else path
    state = {name.removeprefix("unet."): tensor for name, tensor in read_state(file).items()}
    _check_fits(file, state, {n.replace(".default.", "."): p for n, p in unet.named_parameters() if is_adapter(n)})
    set_peft_model_state_dict(unet, state)


def _check_fits(file: Path, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name in sorted(state.keys() ^ own.keys()):
        which = "the file has, and this UNet does not" if name in state else "the file does not have"
        raise WeightsError(
            f"{file}: its adapters are not those of backbone.lora: {which}: '{name}'. Check lora.modules."
        )
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise WeightsError(
                f"{file}: '{name}' is {tuple(tensor.shape)} and should be {tuple(own[name].shape)}; check lora.rank."
            )
