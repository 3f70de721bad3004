"""Watts of a machine, as its BMC tells them over Redfish (DMTF DSP0268, EnvironmentMetrics)."""

import json
import os
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib import request as http

from inferometer import hookimpl
from inferometer.errors import UsageError
from inferometer.meter import MeterContext, Polled
from inferometer.records import Device, MeterInfo

OPEN = ("https://", "http://127.0.0.1:", "http://localhost:")  # never a bare password
SAYS: dict[str, Any] = {"scope": "L2", "kind": "measured", "instrument": "power", "period_s": 1.0}


@dataclass(frozen=True)
class Redfish:
    """Reads ``options.url``; REDFISH_USER and REDFISH_PASSWORD come from the environment."""

    name: str = "redfish"
    options: dict[str, type] = field(default_factory=lambda: {"url": str})

    def info(self, context: MeterContext) -> MeterInfo:
        """Ask once: readable, or the reason."""
        said = {**SAYS, "method": "PowerWatts of EnvironmentMetrics, told by the BMC over Redfish"}
        said |= {"devices": [Device(name="chassis")], "permission": "an account of the BMC"}
        try:
            self.open(context).ask()
        except (OSError, LookupError, TypeError, ValueError) as error:
            barred = getattr(error, "code", None) in {401, 403}
            said |= {"reason": "no_permission" if barred else "no_sensor", "detail": f"{error!r}"}
        return MeterInfo(name=self.name, **said)

    def open(self, context: MeterContext) -> Polled:
        """Begin to ask the BMC."""
        url = str(context.options.get("url"))
        if "@" in url or not url.startswith(OPEN):
            hint = "Give https://BMC/redfish/v1/Chassis/ID/EnvironmentMetrics, without a password."
            raise UsageError("meter 'redfish': options.url is no such address", hint=hint)
        user = f"{os.environ.get('REDFISH_USER', '')}:{os.environ.get('REDFISH_PASSWORD', '')}"
        asked = http.Request(url)  # noqa: S310 -- OPEN says which
        asked.add_unredirected_header("Authorization", f"Basic {b64encode(user.encode()).decode()}")
        secure = http.HTTPSHandler(context=ssl.create_default_context())
        opener = http.build_opener(http.ProxyHandler({}), secure)

        def watts() -> dict[str, float]:
            with opener.open(asked, timeout=3) as answer:
                return {"chassis": float(json.load(answer)["PowerWatts"]["Reading"])}

        return Polled(self.name, "W", watts)


@hookimpl
def inferometer_meters() -> list[Redfish]:
    """Return the meter."""
    return [Redfish()]
