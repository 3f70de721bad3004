"""One results directory against a baseline: ``inferometer compare`` and ``inferometer gate``.

See ``core/decisions/0015-against-a-baseline.md``.
"""

from inferometer.baseline.build import Asked as Asked
from inferometer.baseline.build import against as against
from inferometer.baseline.margins import Rules as Rules
