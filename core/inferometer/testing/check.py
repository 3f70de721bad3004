"""What a check is: an id, one sentence, a function; and what comes of it."""

from __future__ import annotations

import inspect
import io
import os
import re
import tempfile
import time
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec

from inferometer.errors import UsageError
from inferometer.guests import stdout_to_stderr
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager


class Subject(Protocol):
    """What is checked, with what is known to fail, by check id."""

    @property
    def known(self) -> Mapping[str, str]:
        """Return reasons by check id."""


S = TypeVar("S", bound=Subject)
T = TypeVar("T")
Outcome = Literal["pass", "fail", "known", "n/a"]


class Failed(Exception):  # noqa: N818 -- an outcome
    """The thing does not do what the check asks; the message says what it does."""


class NotApplicable(Exception):  # noqa: N818 -- an outcome
    """There is nothing to check; the message says why."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One check's outcome. ``known``: it fails, and that is known and told; ``n/a``: no subject."""

    id: str
    words: str
    outcome: Outcome
    detail: str
    """What failed, why it is known, or why there is nothing to check; empty for most passes."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One named check; ``function`` may raise :class:`Failed` or :class:`NotApplicable`."""

    id: str
    words: str
    function: Callable[[S], None]

    def run(self, subject: S) -> Result:
        """Return the outcome; whatever the thing checked raises is a failure."""
        return outcome(self.id, self.words, subject.known.get(self.id), self._of(subject))

    def _of(self, subject: S) -> Callable[[], None]:
        return lambda: self.function(subject)


def check(function: Callable[[S], None]) -> Check[S]:
    """Make a function a check: its name is the id, its docstring the sentence."""
    words = inspect.cleandoc(function.__doc__ or "")
    return Check(function.__name__.replace("_", "-"), " ".join(words.split()), function)


def checks_of(values: Iterable[object]) -> tuple[Check[S], ...]:
    """Return the checks among the values of a module, in the order they stand there."""
    return tuple(value for value in values if isinstance(value, Check))


def complete_check(contract: type, of: Callable[[S], object]) -> Check[S]:
    """Return the check that the thing ``of`` a subject has what its contract, a protocol, has."""
    members = {key: it for key, it in vars(contract).items() if not key.startswith("_")}

    def complete(subject: S) -> None:
        thing = of(subject)
        lacking = [member for member in members if not hasattr(thing, member)]
        need(not lacking, f"it lacks {', '.join(lacking)}")
        methods = (member for member, it in members.items() if callable(it))
        dead = [method for method in methods if not callable(getattr(thing, method))]
        need(not dead, f"cannot be called: {', '.join(dead)}")

    return Check("complete", "It has every member of the contract.", complete)


def name_check(of: Callable[[S], Any], where: str, longest: int | None = None) -> Check[S]:
    """Return the check that the name of the thing ``of`` a subject can stand ``where`` it has to.

    ``longest``: characters it may have; None for any number.
    """

    def name(subject: S) -> None:
        said = of(subject).name
        plain_name = re.fullmatch(r"[a-z0-9]+([\-._][a-z0-9]+)*", said)
        need(plain_name, f"{said!r}: use lower case and dashes")
        fits = longest is None or len(said) <= longest
        need(fits, f"{said!r} has {len(said)} characters, more than {longest}")

    return Check("name", f"Its name can stand {where}.", name)


def outcome(id_: str, words: str, known: str | None, run: Callable[[], None]) -> Result:
    """Return what comes of ``run``; a known failure that is none any more fails."""
    began = time.monotonic()
    said: Outcome = "pass"
    detail = ""
    try:
        run()
    except NotApplicable as reason:
        said, detail = "n/a", str(reason)
    except Failed as reason:
        said, detail = "fail", str(reason)
    except Exception as error:  # noqa: BLE001 -- a stranger's code; the result has the error
        said, detail = "fail", f"{type(error).__name__}: {error}"
    if known is not None:
        if said == "fail":
            said, detail = "known", known
        elif said == "pass":
            said = "fail"
            detail = f"listed as a known failure ({known}), but passes: take it off the list"
    seconds = round(time.monotonic() - began, 3)
    return Result(id=id_, words=words, outcome=said, detail=plain(detail), seconds=seconds)


def need(ok: object, said: str) -> None:
    """Fail with ``said`` unless ``ok``."""
    if not ok:
        raise Failed(said)


def applies(ok: object, why: str) -> None:
    """Have nothing to check, for the reason ``why``, unless ``ok``."""
    if not ok:
        raise NotApplicable(why)


def ran(
    checks: Sequence[Check[S]],
    subject: S,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Run the checks of the ids in ``only``, or all; ``told`` gets each result at once.

    What the thing checked prints goes to stderr.

    Raises:
        UsageError: there is no such check.
    """
    results = []
    for each in selected(checks, only):
        with stdout_to_stderr():
            result = each.run(subject)
        results.append(result)
        told(result)
    return results


def judged(result: Result) -> None:
    """Tell pytest the outcome: a known failure is an expected one, no subject is a skip."""
    import pytest  # noqa: PLC0415 -- only who tests needs it

    if result.outcome == "fail":
        pytest.fail(f"{result.words}\n{result.detail}", pytrace=False)
    if result.outcome == "known":
        pytest.xfail(result.detail)
    if result.outcome == "n/a":
        pytest.skip(result.detail)


@contextmanager
def printed() -> Iterator[list[bytes]]:
    """Catch stdout, also below Python; the list is filled in the end."""
    written: list[bytes] = []
    caught = io.StringIO()
    with tempfile.TemporaryFile() as file, redirect_stdout(caught):
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield written
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            written += filter(None, [caught.getvalue().encode(), file.read()])


def cases(
    checks: Sequence[Check[S]], opened: Callable[[], AbstractContextManager[S]]
) -> Callable[..., None]:
    """Return a pytest function with one case for each check.

    ``opened`` gives the subject: called by the first case, and left when the module is done.
    """
    import pytest  # noqa: PLC0415 -- only who tests needs it

    subjects: list[S] = []

    @pytest.mark.parametrize("check", [pytest.param(each, id=each.id) for each in checks])
    def test_check(check: Check[S], request: pytest.FixtureRequest) -> None:
        if not subjects:
            ending = ExitStack()
            subjects.append(ending.enter_context(opened()))
            ending.callback(subjects.clear)
            request.node.getparent(pytest.Module).addfinalizer(ending.close)
        judged(check.run(subjects[0]))

    decorated: Any = test_check
    return decorated  # type: ignore[no-any-return]


def named(kind: str, thing: T | str, installed: Callable[[], Mapping[str, T]]) -> T:
    """Return the thing itself, or the installed one of that name.

    Raises:
        UsageError: no installed plugin brings such a one.
    """
    if not isinstance(thing, str):
        return thing
    known = installed()
    if thing not in known:
        raise UsageError.unknown(kind, thing, known)
    return known[thing]


def known_of(thing: object, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is known to fail: as ``given``, else as the thing itself says.

    A thing says it with ``known_failures``, reasons by check id, which no contract asks for.
    """
    said: Mapping[str, str] = getattr(thing, "known_failures", {}) if given is None else given
    return dict(said)


def selected(checks: Sequence[Check[S]], only: Collection[str]) -> list[Check[S]]:
    """Return the checks of these ids, or all.

    Raises:
        UsageError: there is no such check.
    """
    known = {each.id: each for each in checks}
    for id_ in only:
        if id_ not in known:
            raise UsageError.unknown("check", id_, known)
    return [each for each in checks if not only or each.id in only]
