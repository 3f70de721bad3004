"""Quux as an engine of Inferometer. Its server is a toy: put your engine's command in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from inferometer import engine, hookimpl

FAILURES = (
    engine.FailureClass("[Aa]ddress already in use", "port_in_use", "Run it again."),
    engine.FailureClass("unrecognized arguments", "bad_flag", "Correct extra_args."),
)
KNOWN = {"cache-is-off-or-reset": "the toy has no cache: nothing to switch off"}


def precision(dtype: str) -> tuple[str, ...]:
    """Return the flags for a study's ``dtype``: the toy has one only."""
    if dtype != "bfloat16":
        raise engine.Unsupported(f"quux: no dtype {dtype}", remedy="Set dtype = 'bfloat16'.")
    return ()


WORDS = {"dtype": precision, "max_num_seqs": engine.valued("--capacity")}


@dataclass(frozen=True)
class QuuxEngine(engine.Adapter):
    """What Inferometer asks of an engine; whatever is not said here, Adapter answers."""

    name: str = "quux"
    simulated: bool = True  # a real engine is not: then its numbers count as measured
    distributions: tuple[str, ...] = ("inferometer-quux",)
    failures: tuple[engine.FailureClass, ...] = FAILURES
    known_failures: ClassVar[Mapping[str, str]] = KNOWN  # checks it fails, told with the reason

    def requirements(self, platform: engine.Platform) -> engine.Requirements:
        """Return the locked requirements of the engine's own environment: the toy needs none."""
        raise engine.Unsupported(f"quux: nothing to install on {platform}", remedy="Just run it.")

    def command(self, context: engine.LaunchContext) -> engine.Command:
        """Return what starts the server; a term of a study that has no word above is refused."""
        words = engine.translated(self.name, context.spec, WORDS)
        argv = [str(context.python), "-m", "inferometer.testing.oracle"]
        argv += ["--host", context.host, "--port", str(context.port), "--model", context.model_name]
        argv += ["--tokenizer", str(context.model_path / "tokenizer.json")]
        argv += [flag for flags in words for flag in flags]
        env = dict(context.spec.extra_env)
        return engine.Command(argv=(*argv, *context.spec.extra_args), env=env)

    def request(self, completion: engine.Completion) -> dict[str, Any]:
        """Return the body of a request: the token ids that are sent, and how many must come."""
        return engine.exact(completion)


@hookimpl
def inferometer_engines() -> list[QuuxEngine]:
    """Return the engines of this plugin."""
    return [QuuxEngine()]
