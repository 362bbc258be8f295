"""Assigning tensors to a module, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from diffperc.errors import WeightsError


def assign(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put tensors into a module without copying them, all of them or none.

    Args:
        module: may be on the meta device.
        state: names and shapes must be those of the module's own state dict.
        where: the source of the tensors, for messages.

    Raises:
        WeightsError: names or shapes differ; the message names the first of each kind.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    extra = sorted(state.keys() - own.keys())
    wrong = misshapen(own, state)
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors missing, the first '{missing[0]}'")
    if extra:
        problems.append(f"{len(extra)} tensors unexpected, the first '{extra[0]}'")
    if wrong:
        first = wrong[0]
        problems.append(f"'{first}' is {tuple(state[first].shape)} where {tuple(own[first].shape)} is needed")
    if problems:
        raise WeightsError(f"{where}: {'; '.join(problems)}.")
    module.load_state_dict(dict(state), assign=True)


def misshapen(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Sorted names that both state dicts have, with tensors of different shapes."""
    return sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
