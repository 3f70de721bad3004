"""What bundled plugins and other programs may call: small, typed, public.

Measuring: :func:`load_study`, :func:`expand`, :func:`run`; on a node of an executor
:func:`perform`. Reading: :func:`results`, :func:`requests`, :func:`price`. Analysing (imports
polars when called): :func:`analyze`, :func:`analyze_several`, :func:`events`.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.plan import expand
from inferometer.store import Store

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import polars as pl

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.executor import Gather
    from inferometer.prices import Listed
    from inferometer.records import Request
    from inferometer.runner import RunOutcome
    from inferometer.study import Study

__all__ = [
    "analyze",
    "analyze_several",
    "events",
    "expand",
    "folder_of",
    "load_host",
    "load_study",
    "perform",
    "requests",
    "results",
    "run",
]


def load_study(path: str | Path) -> Study:
    """Read a study file; raises ``StudyError`` with every problem in it."""
    from inferometer import study  # noqa: PLC0415 -- importing the API stays cheap

    return study.load(Path(path))


def run(path: str | Path, directory: str | Path) -> RunOutcome:
    """Measure the study at ``path`` into ``directory`` and return the outcome."""
    from inferometer.plugins import Registry  # noqa: PLC0415 -- as above
    from inferometer.progress import Silent  # noqa: PLC0415 -- as above
    from inferometer.runner import run as measure  # noqa: PLC0415 -- as above

    text = Path(path).read_text(encoding="utf-8")
    return measure(load_study(path), text, Path(directory), Registry(), Silent())


def perform(
    shared: bytes,
    content: bytes,
    say: Callable[[bytes], None],
    *,
    gather: Gather | None = None,
    over: Callable[[], bool] | None = None,
) -> bytes:
    """Carry out an :class:`~inferometer.executor.Order` on this machine and return its answer.

    ``shared`` is what all orders of the run share. ``say`` is called, from any thread, with what is
    to be heard by who gave the order; inside a window it is not called. What goes wrong is in the
    answer; an interrupt (``SIGINT``) ends the engine, leaves nothing and is answered, too. A
    process that is kept for the next order prepares once. ``gather`` is given with an order that
    has nodes ``beside``, ``over`` with the content of one that follows.
    """
    from inferometer.performing import perform as do  # noqa: PLC0415 -- as above

    return do(shared, content, say, gather, over)


def folder_of(answer: bytes) -> Path | None:
    """Return where a launch lies that was made beside the results directory, from its answer.

    None for every other answer. To be brought to who gave the order, and then removed.
    """
    from inferometer.jobs import Measured, decoder  # noqa: PLC0415 -- as above

    said = decoder.decode(answer)
    return Path(said.folder) if isinstance(said, Measured) and said.folder else None


@contextmanager
def load_host(listen: str, token: str) -> Iterator[str]:
    """Serve as a load host on ``listen`` (``host:port``, port 0 for a free one) in a process.

    Yields the address; ends with the block, or when this process ends in any way. ``token`` has 16
    characters at least. For what implements :class:`inferometer.loadhosts.LoadHosts`.

    Raises:
        MachineError: it does not start.
    """
    from inferometer.loadgen.host import started  # noqa: PLC0415 -- as above

    with started(listen, token) as address:
        yield address


def results(directory: str | Path) -> Store:
    """Open a results directory for reading."""
    return Store(Path(directory))


def requests(directory: str | Path, launch: str) -> Sequence[Request]:
    """Return the requests of a whole launch.

    Raises:
        UsageError: a line of them is damaged; the message names the file.
    """
    from inferometer.records import Request  # noqa: PLC0415 -- as above
    from inferometer.tables import read_rows  # noqa: PLC0415 -- imports polars

    return read_rows(results(directory).folder(launch), "requests", Request)


def price(id_: str) -> Listed:
    """Return the price of one id from the installed price books, with its book.

    Raises:
        UsageError: no book has it, or two have; suggests the nearest.
    """
    from inferometer import prices  # noqa: PLC0415 -- as above
    from inferometer.plugins import Registry  # noqa: PLC0415 -- as above

    return prices.find(id_, prices.listed(Registry().price_books().values()))


def analyze(
    directory: str | Path,
    scenario: str | Path | None = None,
    *,
    as_of: dt.date | None = None,
    weights: bool = False,
) -> Comparison:
    """Return the comparison made from a results directory, priced by a scenario's file or as it is.

    ``as_of`` is the day against which prices are old; ``weights`` asks for what
    weights of the objectives would choose. See :func:`inferometer.analyze.analyze`.
    """
    from inferometer.analyze import analyze as compare  # noqa: PLC0415 -- imports polars

    prices = Path(scenario) if scenario else None
    return compare(Path(directory), prices, as_of=as_of, weights=weights)


def analyze_several(
    directories: Iterable[str | Path],
    scenario: str | Path | None = None,
    *,
    as_of: dt.date | None = None,
    weights: bool = False,
) -> Several:
    """Return what is said of several results directories: pooled where they agree, else beside.

    The options are those of :func:`analyze`; see :func:`inferometer.several.analyze_several`.
    """
    from inferometer.several import analyze_several as compare  # noqa: PLC0415 -- as above

    roots = [Path(directory) for directory in directories]
    prices = Path(scenario) if scenario else None
    return compare(roots, prices, as_of=as_of, weights=weights)


def events(directory: str | Path, launch: str) -> pl.DataFrame:
    """Return the streamed events of a whole launch, as they came.

    Columns ``request``, ``tokens``, ``flags`` (see :mod:`inferometer.records`) and ``t_ns``; kept
    as Parquet in the launch's folder from the first call on.
    """
    from inferometer.chunklog import read_chunks  # noqa: PLC0415 -- as above

    return read_chunks(results(directory).folder(launch))
