"""The stream reader once more, as plainly as it can be said: the whole answer at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.loadgen.sse import Decoded, _Reader

if TYPE_CHECKING:
    from collections.abc import Sequence


def lines(packets: Sequence[tuple[int, bytes]], *, whole: bool) -> list[tuple[int, bytes]]:
    """Return each line of an answer with the stamp of the packet that brought its end."""
    body = b"".join(part for _, part in packets)
    stamps = [t_ns for t_ns, part in packets for _ in part]
    found, begin = [], 0
    while (end := body.find(b"\n", begin)) >= 0:
        found.append((stamps[end], body[begin:end]))
        begin = end + 1
    if whole and begin < len(body):
        found.append((packets[-1][0], body[begin:]))
    return found


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
