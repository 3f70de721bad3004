"""The stream reader once more, as plainly as it can be said: the whole answer at once."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from inferometer.loadgen.sse import Decoded, _Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def lines(packets: Sequence[tuple[int, bytes]], *, whole: bool) -> Iterator[tuple[int, bytes]]:
    """Yield each line of an answer with the stamp of the packet that brought its end."""
    body = b"".join(part for _, part in packets)
    ends = list(accumulate(len(part) for _, part in packets))
    begin = 0
    while (end := body.find(b"\n", begin)) >= 0:
        if end > begin:
            yield packets[bisect_right(ends, end)][0], body[begin:end]
        begin = end + 1
    if whole and begin < len(body):
        yield packets[-1][0], body[begin:]


def decode(packets: Sequence[tuple[int, bytes]], *, whole: bool) -> Decoded:
    """Return what :func:`inferometer.loadgen.sse.decode` should."""
    reader = _Reader()
    for t_ns, line in lines(packets, whole=whole):
        if line.startswith(b"data:"):
            said = line[5:].strip()
            if said == b"[DONE]":
                reader.out.ended = True
            elif said:
                reader.take(t_ns, said)
        elif line.startswith(b"{"):
            reader.take(t_ns, line)
    reader.close(whole=whole)
    return reader.out
