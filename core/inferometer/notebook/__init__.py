"""Results in a notebook: data frames, rankings and figures of one results directory.

::

    import inferometer

    results = inferometer.load("results/quickstart")
    results.rank("throughput")
    results.figure("trade-off")

Nothing is analysed before something is asked for. The numbers are those of ``report.json``.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from inferometer import rawdata, tables
from inferometer.comparison import OBJECTIVES, rows
from inferometer.errors import UsageError
from inferometer.notebook import drawn, page, reading, started

if TYPE_CHECKING:
    from inferometer.comparison import Comparison, Objective
    from inferometer.notebook.drawn import Figures
    from inferometer.store import Store

_TYPES = {str: pl.String, float: pl.Float64, int: pl.Int64, bool: pl.Boolean}


class Results:
    """What :func:`inferometer.load` returns.

    ``comparison`` is everything a report says, as :mod:`inferometer.comparison` has it; the frames
    are views of it. In frames a number has ``value``, ``unit``, ``kind``, ``n``, the 95 % interval
    ``low`` to ``high``, the id ``result`` under which a report shows it, and where it is absent
    (null, never 0) its ``reason``.
    """

    def __init__(
        self, path: Path, store: Store | None, scenario: Path | None, found: Comparison | None
    ) -> None:
        self.path = path
        self._store = store
        self._scenario = scenario
        self._found = found

    @classmethod
    def at(cls, path: str | Path, scenario: str | Path | None = None) -> Results:
        """Open a results directory, a ``report.json``, or the folder of one.

        Raises:
            UsageError: there are no results, or those of another version.
        """
        place = Path(path).expanduser()
        prices = Path(scenario).expanduser() if scenario else None
        store, found = reading.opened(place)
        if found is not None and prices is not None:
            raise UsageError(
                f"{place}: a report.json cannot be priced again",
                hint="Give the results directory that it was made from.",
            )
        return cls(place, store, prices, found)

    @cached_property
    def comparison(self) -> Comparison:
        """Everything a report says; analysed now if it was not.

        Raises:
            UsageError: a file is damaged, or what is there cannot be pooled.
        """
        if self._found is not None:
            return self._found
        from inferometer.analyze import analyze  # noqa: PLC0415 -- costs a second; asked for late

        return analyze(self._directory().root, self._scenario)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names that :meth:`frame` knows."""
        return (*rows.NAMES, "requests", "launches")

    def frame(self, name: str) -> pl.DataFrame:
        """Return one of :attr:`tables`: those of ``tables/*.csv``, requests or launches.

        Raises:
            UsageError: there is no such table, or a ``report.json`` alone does not hold it.
        """
        if name not in self.tables:
            raise UsageError.unknown("table", name, self.tables, place="frame()")
        if name == "requests":
            return rawdata.requests(tables.scan_requests(self._measured()))
        if name == "launches":
            return started.launches(self._directory())
        table = rows.table(self.comparison, name)
        schema = {column: _TYPES[kind] for column, kind in table.columns.items()}
        return pl.DataFrame(table.rows, schema=schema, orient="row")

    @cached_property
    def stacks(self) -> pl.DataFrame:
        """Return one row a stack: engine, version, profile, precision, parallelism, command."""
        return self.frame("stacks")

    @cached_property
    def cells(self) -> pl.DataFrame:
        """Return one row a cell: a stack on a model with a workload at a load point."""
        return self.frame("cells")

    @cached_property
    def values(self) -> pl.DataFrame:
        """Return one row a metric (and meter) of each cell."""
        return self.frame("values")

    @cached_property
    def rankings(self) -> pl.DataFrame:
        """Return one row a stack of each ranking."""
        return self.frame("rankings")

    @cached_property
    def requests(self) -> pl.DataFrame:
        """Return one row a request, as ``requests.parquet`` has it."""
        return self.frame("requests")

    @cached_property
    def launches(self) -> pl.DataFrame:
        """Return one row a launch, failed ones among them."""
        return self.frame("launches")

    def rank(
        self, objective: Objective = "throughput", *, every_meter: bool = False
    ) -> pl.DataFrame:
        """Return the rankings of one objective, at every operating point.

        By the first meter alone unless ``every_meter``; null places have their reason.

        Raises:
            UsageError: there is no such objective.
        """
        return _of(self.rankings, objective, every_meter=every_meter)

    def pareto(
        self, objective: Objective = "throughput", *, every_meter: bool = False
    ) -> pl.DataFrame:
        """Return every point of the fronts of one objective against interactivity.

        ``on_front`` says whether no other is at least as good in both and better in one.

        Raises:
            UsageError: there is no such objective.
        """
        return _of(self.frame("fronts"), objective, every_meter=every_meter)

    def figure(self, kind: str) -> Figures:
        """Draw the charts of one kind: ``ranking``, ``front``, ``latency``, ``moe``, or a plugin's.

        Raises:
            UsageError: no installed renderer draws this kind.
            InferometerError: the chart could not be drawn.
        """
        return drawn.figures(self.comparison, kind)

    def __repr__(self) -> str:
        return f"inferometer.load({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the study, and the places at each load point."""
        return page.html(self.comparison)

    def _measured(self) -> Store:
        store = self._directory()
        if store.holds_only_imported():
            raise UsageError(
                f"{self.path}: nothing was measured here, so there are no requests",
                hint="What other tools measured is in the table 'imported'.",
            )
        return store

    def _directory(self) -> Store:
        if self._store is None:
            raise UsageError(
                f"{self.path}: a report.json holds no requests and no launches",
                hint="Give the results directory that it was made from.",
            )
        return self._store


def _of(frame: pl.DataFrame, objective: str, *, every_meter: bool) -> pl.DataFrame:
    if objective not in OBJECTIVES:
        raise UsageError.unknown("objective", objective, OBJECTIVES)
    chosen = pl.col("objective") == objective
    return frame.filter(chosen if every_meter else chosen & pl.col("primary"))
