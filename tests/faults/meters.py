"""What a meter may do while it is read: its joules are lost, and nothing else."""

from __future__ import annotations

from tests.faults.fault import DONE, Expected, Fault, alone


def _broken(meter: str, name: str, what: str, reason: str, says: str) -> Fault:
    expected = Expected(exit=0, meter=reason, says=says)
    return Fault(name=f"meter {name}", what=what, meter=meter, expected=expected)


METERS = alone(
    (
        _broken(
            "vanishes", "vanishes", "its device is gone in the middle", "failed", "No such device"
        ),
        _broken(
            "raises", "raises", "read() raises", "failed", "ZeroDivisionError: a plugin's fault"
        ),
        _broken("exits", "exits", "read() calls sys.exit", "failed", "SystemExit: 3"),
        _broken("hangs", "hangs", "read() never returns", "failed", "did not answer for 2 s"),
        _broken("nan", "tells NaN", "a reading that is no number", "bad_reading", "not a number"),
        _broken(
            "no reading",
            "tells words",
            "read() returns a text",
            "bad_reading",
            "not a number: '10 W'",
        ),
        _broken(
            "other clock",
            "has another clock",
            "stamps by the wall clock",
            "clock_unsure",
            "stamped ahead of our clock",
        ),
        Fault(
            name="meter runs backwards",
            what="its counter falls",
            meter="backwards",
            expected=Expected(
                exit=0, check="energy_j_per_output_token@strange: meter_reset", says=DONE
            ),
        ),
        _broken(
            "open", "may not be read", "open() is refused", "no_permission", "Permission denied"
        ),
        _broken("info", "knows not itself", "info() raises", "failed", "nothing is known of it"),
        _broken(
            "open hangs", "cannot be opened", "open() never returns", "failed", "did not return for"
        ),
        _broken(
            "info hangs", "will not say", "info() never returns", "failed", "did not return for"
        ),
        _broken("close", "breaks when closed", "close() raises", "failed", "already closed"),
    )
)
