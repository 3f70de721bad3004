"""The page around the sections: policy, header, contents, answer and what it rests on."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING

from inferometer.language import current, later, tr
from inferometer.reasons import reason_words
from inferometer_reports import document, instruments, words
from inferometer_reports.blocks import Heading
from inferometer_reports.escape import line, sentences
from inferometer_reports.html import answer, calculator, sections, texts
from inferometer_reports.html.markup import Markup, element, join
from inferometer_reports.html.writer import Writer
from inferometer_reports.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Comparison
    from inferometer.records import MeterInfo
    from inferometer_reports.blocks import Block
    from inferometer_reports.html.sections import Section
    from inferometer_reports.words import Statement

NO_MODEL = later("not known")
MOST_LOADS = 8
"""Load points of a workload that the header names."""


def single(comparison: Comparison) -> bytes:
    """Return the page of one comparison."""
    if comparison.imported and not comparison.stacks:
        return plain(document.report(comparison))
    view = View(comparison)
    found = sections.sections(view)
    (ranked,) = (it.blocks for it in found if it.id == "ranking")
    told = answer.answer(view, ranked)
    first = element(
        "section",
        element("h2", f"1. {tr('Answer')}", id="h-answer"),
        told.html,
        id="answer",
        aria_labelledby="h-answer",
    )
    made = [
        _section(view, n, it, told.left_out if it.id == "ranking" else [])
        for n, it in enumerate(found, 2)
    ]
    main = element("main", first, _basis(view), *made)
    body = [_header(view, found), main, _footer(view)]
    return _page(line(comparison.title) or tr("Untitled study"), body)


def plain(blocks: Sequence[Block]) -> bytes:
    """Return the page of blocks that begin with the title, as they come."""
    title = next((one.text for one in blocks if isinstance(one, Heading)), tr("Report"))
    return _page(title, [element("main", Writer(title).write(blocks), class_="plain")])


def _page(title: str, body: Iterable[str]) -> bytes:
    style, script = (_own(name) for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
        ),
        element("title", f"{title} - inferometer"),
        Markup(f"<style>{style}</style>"),
    )
    said = {key: tr(text) for key, text in texts.SCRIPT.items()}
    data = json.dumps({**said, "decimal": current().decimal}, ensure_ascii=False)
    content = element("body", *body, Markup(f"<script>{script}</script>"), data_words=data)
    return f"<!doctype html>{element('html', head, content, lang=current().code)}\n".encode()


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _header(view: View, found: Sequence[Section]) -> Markup:
    it = view.comparison
    banner = words.banner(view)
    label, checks = words.label(view), words.checks(view)
    failed = any(check.verdict == "fail" for _, check in view.troubles())
    return element(
        "header",
        element("h1", line(it.title) or tr("Untitled study")),
        *([element("p", banner, class_="banner")] if banner else []),
        element(
            "p",
            element("span", f"{label.lead} {label.text}", class_="badge"),
            element("span", _kinds(view), class_="badge"),
            element(
                "a",
                f"{checks.lead} {line(checks.text)}",
                class_="badge bad" if failed else "badge",
                href="#validity",
            ),
            class_="badges",
        ),
        _facts(view),
        _contents(found),
    )


def _kinds(view: View) -> str:
    """Return whether what is ranked was measured, and of what it was not."""
    kinds = {ranking.kind for ranking in view.comparison.rankings if ranking.entries}
    for worst in ("simulated", "estimated", "declared"):
        if worst in kinds:
            told = words.kinds(view).text
            word = (
                later("All {kind}: {told}") if len(kinds) == 1 else later("Partly {kind}: {told}")
            )
            return tr(word, kind=tr(worst), told=told)
    return tr("Measured") if kinds else tr("Nothing ranked")


def _facts(view: View) -> Markup:
    it = view.comparison
    loads: dict[str, list[str]] = {}
    for workload, load in view.points:
        loads.setdefault(line(workload), []).append(line(load))
    facts = {
        later("Last launch"): it.created or tr("not recorded"),
        later("Hardware"): _hardware(view),
        later("Stacks"): "; ".join(line(view.label(one.id)) for one in it.stacks) or tr(NO_MODEL),
        later("Models"): "; ".join(line(model.name) for model in it.models) or tr(NO_MODEL),
        later("Load points"): "; ".join(f"{name}: {_first(own)}" for name, own in loads.items())
        or tr("none"),
        later("Plan"): f"SHA-256 {it.plan_sha256[:12]}...",
        later("Meters"): "; ".join(map(_meter, it.meters)) or tr("none"),
    }
    rows = [
        element("div", element("dt", tr(key)), element("dd", text)) for key, text in facts.items()
    ]
    return element("dl", *rows, class_="facts short")


def _first(names: Sequence[str]) -> str:
    more = (
        tr(" and {number} more", number=len(names) - MOST_LOADS) if len(names) > MOST_LOADS else ""
    )
    return f"{', '.join(names[:MOST_LOADS])}{more}"


def _meter(info: MeterInfo) -> str:
    """Return a meter with what it sees; one that gave nothing with the reason."""
    seen = f"n/a: {reason_words(info.reason)}" if info.reason else tr(instruments.kind(info))
    return line(f"{info.name} ({tr(texts.SCOPES[info.scope])}, {seen})")


def _hardware(view: View) -> str:
    found = [f"{one.count} x {line(one.name)}" for one in view.comparison.hardware]
    if found:
        return "; ".join(found)
    host = view.comparison.host
    gpus = host.get("gpus")
    named = [line(gpu) for gpu in gpus] if isinstance(gpus, list) else []
    return "; ".join([*named, line(host.get("cpu_model") or tr("processor not known"))])


def _contents(found: Sequence[Section]) -> Markup:
    links = [("answer", tr("Answer")), *((it.id, it.title) for it in found)]
    made = [element("li", element("a", title, href=f"#{id_}")) for id_, title in links]
    return element("nav", element("ol", *made), aria_label=tr("Contents"))


def _basis(view: View) -> Markup:
    """Return what the answer rests on, by subject."""
    told: dict[str, list[str]] = {}
    for it in words.context(view):
        told.setdefault(it.lead.rstrip(":"), []).append(it.text)
    rows = [
        element("div", element("dt", lead), *(element("dd", sentences(text)) for text in own))
        for lead, own in told.items()
    ]
    return element(
        "div",
        element("h3", tr("What the answer rests on")),
        element("dl", *rows, class_="facts about"),
        Writer(tr("Warnings")).write(document.warnings(view.comparison.warnings)),
        id="basis",
    )


def _section(view: View, number: int, it: Section, told: Sequence[Statement]) -> Markup:
    """Return a section; ``told`` are sentences of the answer that did not fit above."""
    full = [element("li", element("strong", lead), " ", sentences(text)) for lead, text in told]
    return element(
        "section",
        element("h2", f"{number}. {it.title}", id=f"h-{it.id}"),
        element("p", it.question, class_="question"),
        element("p", sentences(it.finding), class_="finding"),
        element("ul", *full) if full else Markup(""),
        calculator.form(view) if it.id == "cost" else Markup(""),
        Writer(it.title, anchor=it.id).write(it.blocks),
        id=it.id,
        aria_labelledby=f"h-{it.id}",
    )


def _footer(view: View) -> Markup:
    version = line(view.comparison.inferometer_version)
    made = tr("Written by inferometer {version} from plan ", version=version)
    return element("footer", join([made, element("code", view.comparison.plan_sha256)]))
