"""Named colours, as linear RGB. The renderer encodes with gamma 2, so a colour is the square of its display value."""

from diffperc.scenes.shapes import Vec3


def linear(red: float, green: float, blue: float) -> Vec3:
    """Linear RGB of a display colour in [0, 1]."""
    return (red**2, green**2, blue**2)


PALETTE: dict[str, Vec3] = {
    "red": linear(0.84, 0.17, 0.16),
    "orange": linear(0.95, 0.52, 0.12),
    "yellow": linear(0.95, 0.85, 0.25),
    "green": linear(0.22, 0.62, 0.25),
    "cyan": linear(0.25, 0.78, 0.82),
    "blue": linear(0.18, 0.34, 0.80),
    "purple": linear(0.54, 0.24, 0.70),
    "pink": linear(0.95, 0.60, 0.72),
    "brown": linear(0.50, 0.32, 0.19),
    "white": linear(0.94, 0.94, 0.92),
    "gray": linear(0.54, 0.55, 0.56),
    "black": linear(0.15, 0.15, 0.17),
}
COLOURS: tuple[str, ...] = tuple(PALETTE)


def mix(first: Vec3, second: Vec3, weight: float) -> Vec3:
    """The first colour moved towards the second by a weight in [0, 1]."""
    return (
        first[0] + weight * (second[0] - first[0]),
        first[1] + weight * (second[1] - first[1]),
        first[2] + weight * (second[2] - first[2]),
    )
