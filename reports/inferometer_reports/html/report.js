"use strict";
(() => {
  const make = (name, text, parent, set) => {
    const found = document.createElement(name);
    if (text) found.textContent = text;
    Object.assign(found, set);
    if (parent) parent.append(found);
    return found;
  };
  const all = (where, what) => [...where.querySelectorAll(what)];

  // Words in the page's language; fill sets values in for {0} and {1}.
  const say = JSON.parse(document.body.dataset.words);
  const fill = (text, ...values) => text.replace(/{(\d)}/g, (_, place) => values[place]);

  // Tooltip; the arrow keys walk over the marks of a chart.
  const tip = make("div", "", document.body, { id: "tip", hidden: true, ariaHidden: "true" });
  let shown = null;
  const show = (mark) => {
    shown = mark;
    tip.hidden = !mark;
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    tip.textContent = mark.getAttribute("aria-label");
    const left = Math.min(box.right + 8, innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, box.top - tip.offsetHeight - 6)}px`;
  };
  const hide = () => show(null);
  addEventListener("scroll", () => show(shown), true);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  for (const chart of all(document, ".chart")) {
    const marks = all(chart, ":not(g)[aria-label]");
    marks.forEach((mark, place) => {
      const on = (name, what) => mark.addEventListener(name, what);
      mark.setAttribute("tabindex", place ? "-1" : "0");
      on("pointerenter", () => show(mark));
      on("pointerleave", hide);
      on("focus", () => show(mark));
      on("blur", hide);
      on("keydown", (event) => {
        const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
        const ends = { Home: 0, End: marks.length - 1 };
        const next = marks[event.key in ends ? ends[event.key] : place + steps[event.key]];
        if (!next) return;
        event.preventDefault();
        mark.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
  }

  // Tables: sort, filter, compare with a baseline, copy a row.
  const figure = (cell) => Number(cell.dataset.v) || parseFloat(cell.textContent
    .replace(/^[=~]|\u202f/g, "").replace(/[.,]/g, (it) => it === say.decimal ? "." : ""));
  const sort = (table, column) => {
    const heads = all(table, "thead th");
    const turn = heads[column].ariaSort === "ascending" ? -1 : 1;
    heads.forEach((one) => { one.ariaSort = null; });
    heads[column].ariaSort = turn < 0 ? "descending" : "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) =>
      [row, figure(row.cells[column]), row.cells[column].textContent]);
    rows.sort((a, b) => isNaN(a[1]) - isNaN(b[1]) // what is absent stays last
      || turn * (isNaN(a[1]) ? a[2].localeCompare(b[2]) : a[1] - b[1]));
    body.append(...rows.map((row) => row[0]));
  };
  const plan = document.querySelector("footer code")?.textContent;
  const copy = async (row, heads, stack, button) => {
    const text = heads.map((head, place) => `${head}: ${row.cells[place].textContent}`)
      .concat(row.dataset.cell ? `${say.result}: ${row.dataset.cell}` : [], plan ? `${say.plan}: ${plan}` : [])
      .join("\n");
    let told = say.copied;
    try { await navigator.clipboard.writeText(text); } catch { told = say.refused; }
    button.textContent = told;
    button.ariaLabel = `${told}: ${stack}`;
  };
  const baseline = (rows, tools, heads) => {
    const [stack, point] = ["Stack", "Operating point"].map((name) => heads.indexOf(name));
    const said = (row, column) => column < 0 || row.cells[column].textContent;
    const pick = make("select", "", make("label", `${say.against} `, tools));
    const names = new Set([say.baseline, ...rows.map((row) => said(row, stack))]);
    names.forEach((name) => make("option", name, pick));
    const told = make("output", "", tools);
    pick.addEventListener("change", () => {
      told.textContent = pick.selectedIndex ? say.brackets : "";
      for (const row of rows) {
        const cell = row.cells[stack + 1];
        all(cell, ".against").forEach((one) => one.remove());
        const base = rows.find((one) =>
          said(one, stack) === pick.value && said(one, point) === said(row, point));
        const share = base
          ? (figure(cell) / figure(base.cells[stack + 1]) - 1) * 100 : NaN;
        if (!isFinite(share)) continue;
        const told = `${share < 0 ? "" : "+"}${share.toFixed(1)}`.replace(".", say.decimal);
        make("span", ` (${told} %)`, cell, { className: "against" });
      }
    });
  };
  for (const table of all(document, "main table")) {
    const rows = [...table.tBodies[0].rows];
    const titles = all(table, "thead th");
    const heads = titles.map((one) => one.textContent);
    const known = titles.map((one) => one.dataset.head || one.textContent);
    if (rows.length < 2) continue;
    titles.forEach((head, column) => {
      head.textContent = "";
      make("button", heads[column], head, { type: "button" })
        .addEventListener("click", () => sort(table, column));
    });
    const tools = make("div", "", null, { className: "tools" });
    if (rows.length > 8) {
      const input = make("input", "", make("label", `${say.only} `, tools), { type: "search" });
      const told = make("output", "", tools);
      input.addEventListener("input", () => {
        const wanted = input.value.toLowerCase();
        rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
        told.textContent = fill(say.rows, rows.filter((row) => !row.hidden).length, rows.length);
      });
    }
    const stack = known.indexOf("Stack");
    if (stack >= 0 && known.includes("Place")) {
      baseline(rows, tools, known);
      make("td", "", table.tHead.rows[0]);
      rows.forEach((row) => {
        const name = row.cells[stack].textContent;
        const button = make("button", say.copy, make("td", "", row), { type: "button",
          ariaLabel: fill(say.row, name) });
        button.addEventListener("click", () => copy(row, heads, name, button));
      });
    }
    if (tools.firstChild) table.parentElement.before(tools);
  }

  // Dollars at prices typed here.
  for (const box of all(document, ".calculator")) {
    box.hidden = false;
    const tools = make("div", "", null, { className: "tools" });
    const field = (name) => make("input", "", make("label", `${name} `, tools),
      { type: "number", min: 0, step: "any" });
    const hour = field(say.hour);
    const power = field(say.power);
    const table = box.querySelector("table");
    table.parentElement.before(tools);
    make("th", say.yours, table.tHead.rows[0], { scope: "col" });
    const cells = [...table.tBodies[0].rows].map((row) => [row.cells, make("td", "", row)]);
    const count = () => {
      for (const [row, cell] of cells) {
        const joules = figure(row[4]);
        const sum = hour.value / 0.0036 / figure(row[3]) + (power.value ? power.value * joules / 3.6 : 0);
        cell.textContent = !hour.value && !power.value || hour.value < 0 || power.value < 0
          ? say.type : power.value && isNaN(joules) ? row[4].textContent
            : `${sum.toPrecision(3).replace(".", say.decimal)} ${(/\S+\.$/.exec(row[3].textContent) || [say.estimated])[0]}`;
      }
    };
    tools.addEventListener("input", count);
    count();
  }

  // Light or dark.
  const root = document.documentElement;
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const bar = make("div", "", null, { className: "tools" });
  const button = make("button", "", bar, { type: "button" });
  const name = () => { button.textContent = dark() ? say.light : say.dark; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();
  (document.querySelector("header") || document.body).prepend(bar);
  addEventListener("beforeprint", () => all(document, "details").forEach((one) => { one.open = true; }));
})();
