"""The live checks see a server that refuses well, and one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferometer.launch import Server
from inferometer.testing import conformance
from inferometer.testing.engine import OracleEngine
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("options", "outcome", "said"),
    [
        ({}, "pass", ""),
        ({"capacity": 4}, "pass", ""),
        ({"fault": "503", "fault_every": 2}, "pass", ""),
        ({"fault": "error", "fault_every": 2}, "fail", "an answer that had begun failed"),
        ({"fault": "reset", "fault_every": 2}, "fail", "a request got no answer at all"),
        ({"fault": "wrong_usage"}, "fail", "usage says 13 output tokens"),
        ({"fault": "503"}, "fail", "none was answered"),
    ],
)
def test_overload(
    options: dict[str, Any], outcome: str, said: str, path_of: Callable[[str], Path]
) -> None:
    with Oracle(Options(**options)) as oracle:
        server = Server(
            host="127.0.0.1",
            port=oracle.port,
            session_id=None,
            ready_s=None,
            log=Path("none"),
            dead=lambda: None,
        )
        (result,) = conformance.live(
            OracleEngine(),
            server,
            model="oracle",
            tokenizer=path_of("bytes"),
            only=["overload"],
        )
    assert (result.outcome, said in result.detail) == (outcome, True), result.detail
