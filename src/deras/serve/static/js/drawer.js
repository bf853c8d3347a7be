// The sheet at the side: why a mark is there, or all of a row.

import { copyText, h, icon } from "./dom.js";
import * as format from "./format.js";
import { page } from "./state.js";
import { t } from "./texts.js";

let open = null;

function fact(name, value, strong) {
  return h("div", { class: strong ? "fact strong" : "fact" }, h("dt", { text: name }), h("dd", { text: value }));
}

function show(title, ...content) {
  const before = open?.before ?? document.activeElement;
  open?.el.remove();
  const el = h("aside", { class: "drawer", role: "dialog", "aria-modal": "false", "aria-label": title, tabindex: "-1" },
    h("header", {}, h("h2", { text: title }), h("button", { class: "ghost", "aria-label": t("close"), onclick: close }, icon("close"))),
    ...content);
  document.body.append(el);
  open = { el, before };
  el.focus({ preventScroll: true });
  return el;
}

export function close() {
  if (!open) return false;
  open.el.remove();
  open.before?.focus?.({ preventScroll: true });
  open = null;
  return true;
}

export function showRow(title, columns, row, specs) {
  const facts = columns.map((c, i) => fact(specs?.[c.name]?.title || c.name, format.value(row[i], { ...specs?.[c.name], format: undefined }, c.kind)));
  show(title, h("dl", { class: "facts" }, facts));
}

export function showMark(panel, store, mark, lineNames) {
  const at = store.at, row = mark.row, kinds = store.kinds;
  const y = panel.y[0];
  const v = row[at[y]];
  const band = panel.band;
  const expected = band && at[band.expected] !== undefined ? row[at[band.expected]] : null;
  const facts = [fact(t("time"), format.moment(mark.x, store.xKind, true)), fact(t("value"), format.value(v, panel), true)];
  if (expected !== null) facts.push(fact(t("expected"), format.value(expected, panel)));
  if (band) facts.push(fact(t("range"), `${format.value(row[at[band.lower]], { ...panel, unit: "" })} – ${format.value(row[at[band.upper]], panel)}`));
  const m = panel.marks;
  if (m.score && row[at[m.score]] !== null) facts.push(fact(t("score"), format.number(row[at[m.score]], 2)));
  const told = new Set([y, m.score, band?.expected, band?.lower, band?.upper, "value", "expected", "score"]);
  for (const name of m.why) if (!told.has(name)) facts.push(fact(name, format.value(row[at[name]], null, kinds[name])));
  const { line, x } = mark;
  const close = (r) => line.rows.some((o) => o !== r && Math.abs(o[at[panel.x]] - r[at[panel.x]]) < 1000);
  const i = line.rows.indexOf(row);
  const near = i < 0 ? [] : line.rows.slice(Math.max(0, i - 4), i + 5);
  const fine = near.some(close);
  const names = [...new Set([panel.x, y, ...(band?.expected ? [band.expected] : []), ...(m.score ? [m.score] : [])])];
  const table = h("table", { class: "near" },
    h("thead", {}, h("tr", {}, names.map((n) => h("th", { scope: "col", text: n })))),
    h("tbody", {}, near.map((r) => h("tr", { class: r === row ? "this" : "" },
      names.map((n) => h("td", { text: n === panel.x && store.timed ? format.clock(r[at[n]], store.xKind, fine) : format.value(r[at[n]], { digits: panel.digits }, kinds[n]) }))))));
  const marks = store.marks(lineNames);
  const place = marks.findIndex((k) => k.row === row);
  const go = (step) => () => { const next = marks[place + step]; if (next) showMark(panel, store, next, lineNames); };
  const link = h("button", { onclick: async () => {
    const half = panel.window / 2;
    const url = new URL(location.href);
    url.hash = `from=${Math.round(x - half)}&to=${Math.round(x + half)}`;
    if (await copyText(url.href)) link.textContent = t("copied");
  } }, t("link"));
  const gap = typeof v === "number" && typeof expected === "number" ? v - expected : null;
  const lead = gap === null ? null : t(gap >= 0 ? "away" : "awayBelow", { n: format.value(Math.abs(gap), panel) });
  show(mark.line.name && !panel.where ? `${panel.title} · ${mark.line.name}` : panel.title,
    h("p", { class: "lead" }, h("span", { class: "badge critical", text: `◆ ${m.label === "anomaly" ? t("anomaly") : m.label}` }), lead ? ` ${lead}` : ""),
    h("dl", { class: "facts" }, facts),
    h("h3", { text: t("around") }), h("div", { class: "scroll" }, table),
    h("footer", {}, h("button", { onclick: go(-1), disabled: place <= 0 }, t("earlier")), h("button", { onclick: go(1), disabled: place < 0 || place >= marks.length - 1 }, t("later")), store.timed && !page.wall ? link : null));
}
