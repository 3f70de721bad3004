"""Every reader of what others write, by name."""

from __future__ import annotations

from tests.fuzz import files, results, streams

TARGETS = {it.name: it for it in (*streams.TARGETS, *files.TARGETS, *results.TARGETS)}
