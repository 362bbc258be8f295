from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    text: str
    target: int


def expressions(scene, rendered):
    return ()
