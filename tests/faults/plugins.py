"""What somebody's plugin may do when it is imported or asked: it is named, and the run goes on."""

from __future__ import annotations

from tests.faults.fault import Expected, Fault, alone

HOOK = """
from inferometer.hooks import hookimpl

@hookimpl
def inferometer_meters():
    {}
"""


def _named(name: str, what: str, text: str, says: str) -> Fault:
    return Fault(
        name=f"plugin {name}", what=what, plugin=text, expected=Expected(exit=0, says=says)
    )


def _listed(name: str, what: str, text: str, says: str) -> Fault:
    """Return a fault of which only `inferometer plugins` is asked: a run meets it the same way."""
    expected = Expected(exit=0, launch="none", says=says)
    return Fault(
        name=f"plugin {name}", what=what, plugin=text, words=("plugins",), expected=expected
    )


PLUGINS = alone(
    (
        _named(
            "raises at import",
            "import raises",
            "raise RuntimeError('no such library')",
            "cannot be imported: RuntimeError: no such library",
        ),
        _listed("is no Python", "a syntax error", "def (", "cannot be imported: SyntaxError"),
        _listed(
            "exits at import",
            "import calls sys.exit",
            "import sys; sys.exit(3)",
            "cannot be imported: SystemExit: 3",
        ),
        _named(
            "blocks at import",
            "import never returns",
            "import time; time.sleep(600)",
            "cannot be imported: TimeoutError: did not return for 4 s",
        ),
        _named(
            "blocks in a hook",
            "a hook never returns",
            HOOK.format("import time; time.sleep(600)"),
            "inferometer_meters() raised: TimeoutError: did not return for 4 s",
        ),
        _listed(
            "raises in a hook",
            "a hook raises",
            HOOK.format("raise KeyError('device')"),
            "inferometer_meters() raised: KeyError: 'device'",
        ),
        _listed(
            "returns no list",
            "a hook returns a number",
            HOOK.format("return 7"),
            "inferometer_meters() raised: TypeError: 'int' object is not iterable",
        ),
        _named(
            "returns nonsense",
            "a hook returns texts for meters",
            HOOK.format("return ['a meter']"),
            "returned str, which has no name",
        ),
        _listed(
            "misspells a hook",
            "a hook that nobody calls",
            HOOK.replace("meters", "metres").format("return []"),
            "unknown hook inferometer_metres(); did you mean inferometer_meters()?",
        ),
        _named(
            "moves us",
            "import changes the working directory",
            "import os; os.chdir('/')\n" + HOOK.format("return []"),
            "changed the working directory to /: changed back",
        ),
        _named(
            "deafens us",
            "import ignores SIGTERM",
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            + HOOK.format("return []"),
            "took SIGTERM from us: taken back",
        ),
        Fault(
            name="plugin prints",
            what="import and a hook print to stdout, also below Python, beside JSON",
            plugin="import os\nprint('hello')\nos.write(1, b'hello')\n"
            + HOOK.format("print('hello'); return []"),
            words=("plugins", "--json"),
            expected=Expected(exit=0, launch="none", others="none", says='"oracle-plugin"'),
        ),
        Fault(
            name="plugin is slow",
            what="import takes ten minutes: --help does not wait for it",
            plugin="import time; time.sleep(600)",
            words=("--help",),
            expected=Expected(exit=0, launch="none", others="none", says="Usage: inferometer"),
        ),
        Fault(
            name="plugin takes a name",
            what="it brings an engine that is there already",
            plugin="from inferometer.testing.engine import inferometer_engines",
            expected=Expected(
                exit=2, launch="none", others="none", says="two plugins bring engine 'oracle'"
            ),
        ),
    )
)
