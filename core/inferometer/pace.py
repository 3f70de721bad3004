"""How long a load takes where nobody says: counted in residence times.

The residence time R is how long a request spends in the server. A window has to see a load many
times over, and the beginning of a load lasts about as long as one request. Where a stream pauses
between two requests, both take the pause besides.
"""

from __future__ import annotations

SPREAD = 0.5
"""Over so many residence times the first requests of a closed loop are sent."""
RESIDENCES = 10.0
RESERVE = 1.15
"""A warm-up drains, so its requests are a little quicker than under load: by 1 % where all are of
one length, by a seventh where they are as mixed as in a chat."""
SHORTEST_S, LONGEST_S = 60.0, 300.0
LEAST_DISCARD_S = 20.0
OF_WINDOW = 1 / 3
"""A discarded stretch need not be longer than this share of the window, so that quick looks stay
quick; one residence time it is in any case."""
STALL_S = 300.0
OF_REQUEST = 0.9
"""Silence need not mean more than a prompt that is being read, or a first request that has the
engine compile, until it has lasted for most of what one request may take."""


def window_s(residence_s: float) -> float:
    """Return the length of a window, s: ten residence times and a reserve, from 60 to 300 s.

    ``residence_s`` is what the warm-up shows.
    """
    return min(max(RESIDENCES * RESERVE * residence_s, SHORTEST_S), LONGEST_S)


def discard_s(residence_s: float, window_s: float) -> float:
    """Return how long a load runs before its window, s, from its first send."""
    return max(residence_s, min(LEAST_DISCARD_S, OF_WINDOW * window_s))


def stall_s(request_timeout_s: float) -> float:
    """Return how long nothing may arrive on any stream, s, where requests may take so long."""
    return max(STALL_S, OF_REQUEST * request_timeout_s)
