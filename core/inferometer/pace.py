"""How long a load takes where nobody says: counted in residence times.

The residence time R is how long a request spends in the server. A window has to see a load many
times over, and the beginning of a load lasts about as long as one request.
"""

from __future__ import annotations

SPREAD = 0.5
"""Over so many residence times the first requests of a closed loop are sent."""
RESIDENCES = 10.0
SHORTEST_S, LONGEST_S = 60.0, 300.0
LEAST_DISCARD_S = 20.0
OF_WINDOW = 1 / 3
"""A discarded stretch need not be longer than this share of the window, so that quick looks stay
quick; one residence time it is in any case."""


def window_s(residence_s: float) -> float:
    """Return the length of a window, s: ten residence times, from 60 to 300 s."""
    return min(max(RESIDENCES * residence_s, SHORTEST_S), LONGEST_S)


def discard_s(residence_s: float, window_s: float) -> float:
    """Return how long a load runs before its window, s, from its first send."""
    return max(residence_s, min(LEAST_DISCARD_S, OF_WINDOW * window_s))
