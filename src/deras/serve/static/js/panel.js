// A panel: its rows, its card (or one card a value, with `repeat`), its states and its menu.

import { Chart, writeReadout } from "./chart.js";
import { copyText, csv, fileName, h, icon, save, setText } from "./dom.js";
import { showMark } from "./drawer.js";
import * as format from "./format.js";
import { say } from "./live.js";
import { changed, draw, page, serverNow } from "./state.js";
import { LineStore, RowStore } from "./store.js";
import { Table } from "./table.js";
import { t } from "./texts.js";

const STALE = 30_000;
const narrow = matchMedia("(max-width: 640px)");

export class Panel {
  constructor(spec, grid) {
    this.spec = spec;
    this.grid = grid;
    this.isTable = spec.mark === "table";
    this.store = this.isTable ? new RowStore(spec) : new LineStore(spec);
    this.cards = new Map();
    this.updated = null;
    this.problem = null;
    this.held = 0;
    if (!spec.repeat) this.card("");
    else this.place = grid.appendChild(h("div", { class: `card skeleton w${spec.width}` }, h("div", { class: "body", "data-height": spec.height })));
    if (this.place) this.place.firstChild.style.height = `${spec.height}px`;
  }

  card(value) {
    let card = this.cards.get(value);
    if (!card) {
      card = new Card(this, value);
      this.cards.set(value, card);
      if (this.place) this.place.before(card.el);
      else this.grid.append(card.el);
    }
    return card;
  }

  take(message) {
    if (message.op === "error") {
      this.problem = message.error;
      this.state();
      return;
    }
    this.problem = null;
    this.updated = message.updated;
    if (message.op === "set") {
      this.store.set(message.columns, message.data, message.key, message.order);
    } else {
      if (message.del && this.store.keyAt) for (const key of message.del) this.store.remove(key);
      this.announce(this.store.put(message.data));
    }
    if (this.store.timed) {
      const last = this.store.last();
      if (last > page.edge) { page.edge = last; changed("edge"); }
    }
    if (this.spec.repeat) {
      const names = [...new Set([...this.store.lines.values()].map((l) => String(l.rows[0][this.store.at[this.spec.repeat]])))].sort();
      for (const name of names) this.card(name);
      for (const [name, card] of this.cards) if (!names.includes(name)) { card.remove(); this.cards.delete(name); }
      this.place.hidden = this.cards.size > 0;
    }
    if (page.paused) this.held++;
    this.state();
    this.redraw();
  }

  redraw() {
    for (const card of this.cards.values()) card.redraw();
  }

  announce(rows) {
    if (!rows.length) return;
    const row = rows[rows.length - 1];
    const now = performance.now();
    for (const r of rows) r.seen = now;
    const at = this.store.at;
    if (!this.isTable) {
      const m = this.spec.marks;
      say(t("announce", { label: m.label === "anomaly" ? t("anomaly") : m.label, title: this.spec.title, value: format.value(row[at[this.spec.y[0]]], this.spec), time: format.clock(row[at[this.spec.x]], this.store.xKind) }));
    } else if (this.spec.notify) {
      const names = this.spec.columns.length ? this.spec.columns : this.store.columns;
      say(t("announceRow", { title: this.spec.title, text: names.map((c) => row[at[c.name]]).filter((v) => typeof v === "string").join(", ") }));
    }
  }

  get count() { return this.isTable ? this.store.rows.length : this.store.count; }

  state() {
    for (const card of this.cards.values()) card.state();
    if (this.place && this.problem && !this.cards.size) {
      this.place.classList.remove("skeleton");
      this.place.firstChild.replaceChildren(problem(this.problem));
    } else if (this.place && this.updated !== null && !this.cards.size) {
      this.place.classList.remove("skeleton");
      this.place.firstChild.replaceChildren(h("h2", { text: this.spec.title }), nothing());
    }
  }

  find() {
    for (const card of this.cards.values()) if (card.find()) return true;
    return false;
  }
}

function problem(error) {
  return h("div", { class: "state error", role: "status" }, h("p", { class: "state-title", text: t("errorTitle") }), h("p", { text: error.message }),
    error.caret ? h("pre", { text: error.caret }) : null, error.detail ? h("p", { class: "quiet", text: error.detail }) : null, error.hint ? h("p", { text: error.hint }) : null, h("p", { class: "quiet", text: t("retrying") }));
}

// How to send a record is told once on a page, in its first empty panel.
function nothing(first = true) {
  const el = h("div", { class: "state empty" }, h("p", { class: "state-title", text: t("noRows") }));
  for (const s of (page.status?.sources ?? []).slice(0, 3)) {
    if (s.waiting) el.append(h("p", { text: s.waiting }));
    else if (s.since) el.append(h("p", { text: t("noRowsSource", { source: s.name, n: format.number(s.received, 0), time: format.shortMoment(s.since, "instant", serverNow()) }) }));
    if (first && s.hint && !s.received) {
      const button = h("button", { onclick: async () => { if (await copyText(s.hint)) button.textContent = t("copied"); } }, t("copy"));
      el.append(h("p", { class: "quiet", text: t("postOne") }), h("div", { class: "command" }, h("code", { text: s.hint }), button));
    }
  }
  return el;
}

function firstEmpty() {
  for (const card of all) if (card.panel.count === 0) return card;
  return null;
}

const all = [];

class Card {
  constructor(panel, value) {
    this.panel = panel;
    this.value = value;
    const spec = (this.spec = panel.spec);
    this.title = value ? `${spec.title} · ${value}` : spec.title;
    this.readout = h("div", { class: "readout", "aria-hidden": "true" });
    this.chip = h("button", { class: "chip critical", hidden: true, onclick: () => this.openMark() });
    this.note = h("span", { class: "note" });
    this.menu = h("div", { class: "menu", role: "menu", hidden: true });
    this.more = h("button", { class: "ghost more", "aria-label": t("more", { title: this.title }), "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => this.toggleMenu() }, icon("more"));
    const heading = h("div", { class: "titles" }, h("h2", { text: this.title }), h("p", { class: "subtitle" }, spec.subtitle ? h("span", { text: spec.subtitle }) : null, this.note));
    this.body = h("div", { class: "body" });
    this.body.style.height = `${spec.height}px`;
    this.body.classList.toggle("is-table", panel.isTable);
    this.el = h("section", { class: `card w${spec.width} skeleton`, "aria-label": this.title }, h("header", {}, heading, this.chip, this.readout, h("div", { class: "tools" }, this.more, this.menu)), this.body);
    this.message = h("div", { class: "message", hidden: true });
    this.body.append(this.message);
    this.wordless = "";
    all.push(this);
    if (panel.isTable) {
      this.table = new Table(spec, panel.store, { counted: (n) => setText(this.readout, n === 1 ? t("row") : t("rows", { n: format.number(n, 0) })) });
      this.el.querySelector("header").insertBefore(this.table.filter, this.el.querySelector(".tools"));
      this.body.append(this.table.el);
    } else {
      this.chart = new Chart(spec, panel.store, () => this.names(), { hover: (found) => this.hover(found), mark: (m) => showMark(spec, panel.store, m, this.names()) });
      this.body.append(this.chart.el);
    }
  }

  names() {
    const all = [...this.panel.store.lines.keys()];
    const mine = this.value ? all.filter((n) => n === this.value || n.startsWith(`${this.value} · `)) : all;
    return mine.sort();
  }

  find() {
    if (!this.table) return false;
    this.table.filter.focus();
    return true;
  }

  hover(found) {
    this.hovered = found;
    this.latest();
  }

  latest() {
    if (!this.chart?.plot || !this.chart.current) return;
    if (this.hovered) {
      writeReadout(this.readout, this.spec, this.hovered);
      setText(this.note, this.hovered.x);
      return;
    }
    const lines = this.chart.current;
    if (lines.length !== 1 || this.spec.mark === "bar") {
      this.readout.replaceChildren();
      if (lines.length > 5) this.readout.replaceChildren(...lines.slice(0, 8).map((l, i) => h("span", { class: `key series-${(i % 6) + 1}`, text: l.label })));
    } else {
      const row = lines[0].line.rows.at(-1);
      setText(this.readout, format.value(row?.[lines[0].y], this.spec));
    }
    this.stamp();
  }

  stamp() {
    if (this.hovered || !this.chart) return;
    const { updated, store } = this.panel;
    const old = store.timed && updated !== null && page.status?.state === "live" && !page.lost && serverNow() - updated > STALE;
    this.el.classList.toggle("stale", old);
    setText(this.note, old ? t("stale", { time: format.clock(updated, "instant") }) : "");
  }

  redraw() {
    if (this.table) draw(this.table);
    if (this.chart && !this.panel.problem) { draw(this.chart); draw(this); }
    if (this.asTable) draw(this.asTable);
  }

  // Drawn after its chart in the same frame.
  draw() {
    this.latest();
    const marks = this.spec.marks ? this.panel.store.marks(this.names()) : [];
    const [from, to] = this.panel.store.timed ? this.chart.range() : [-Infinity, Infinity];
    this.shown = marks.filter((m) => m.x >= from && m.x <= to);
    this.chip.hidden = !this.shown.length;
    if (!this.shown.length) return;
    const text = this.shown.length === 1 ? t("oneAnomaly") : t("anomalies", { n: this.shown.length });
    setText(this.chip, narrow.matches ? `◆ ${this.shown.length}` : `◆ ${text}`);
    this.chip.setAttribute("aria-label", `${text}: ${t("why")}`);
  }

  openMark() {
    if (this.shown?.length) showMark(this.spec, this.panel.store, this.shown.at(-1), this.names());
  }

  state() {
    const { problem: wrong, updated, count } = this.panel;
    this.el.classList.toggle("skeleton", !wrong && updated === null);
    const kind = wrong ? JSON.stringify(wrong) : updated !== null && count === 0 ? `empty${(page.status?.sources ?? []).map((s) => s.received).join()}` : "";
    const calm = kind.startsWith("empty") && this.wordless.startsWith("empty") && this.message.matches(":hover,:focus-within");
    if (kind === this.wordless || calm) return;
    this.wordless = kind;
    this.message.replaceChildren(...(wrong ? [problem(wrong)] : kind ? [nothing(this === firstEmpty())] : []));
    this.message.hidden = !kind;
    this.body.classList.toggle("has-message", !!kind);
  }

  toggleMenu(on = this.menu.hidden) {
    for (const other of document.querySelectorAll(".menu:not([hidden])")) if (other !== this.menu) other.hidden = true;
    this.menu.hidden = !on;
    this.more.setAttribute("aria-expanded", String(on));
    if (!on) return;
    const entry = (text, act) => h("button", { role: "menuitem", onclick: async () => { const done = await act(); if (done === true) say(t("copied")); this.toggleMenu(false); this.more.focus(); } }, text);
    const items = [];
    if (this.chart) items.push(entry(this.asTable ? t("asChart") : t("asTable"), () => this.switchTable()), entry(t("picture"), () => this.picture()));
    items.push(entry(t("csv"), () => { const [names, rows] = this.data(); save(fileName(this.title, "csv"), new Blob([csv(names, rows)], { type: "text/csv" })); }));
    items.push(entry(t("copyCsv"), () => { const [names, rows] = this.data(); return copyText(csv(names, rows)); }));
    items.push(entry(t("copyJson"), () => { const [names, rows] = this.data(); return copyText(JSON.stringify(rows.map((r) => Object.fromEntries(names.map((n, i) => [n, r[i]]))), null, 1)); }));
    this.menu.replaceChildren(...items);
    items[0].focus();
  }

  data() {
    const { store } = this.panel;
    const names = store.columns.map((c) => c.name);
    const times = store.columns.map((c, i) => (c.kind === "instant" || c.kind === "local" ? i : -1)).filter((i) => i >= 0);
    const iso = (r) => (times.length ? r.map((v, i) => (times.includes(i) && v !== null ? new Date(v).toISOString().slice(0, store.columns[i].kind === "local" ? 23 : 24) : v)) : r);
    const rows = this.table ? this.table.rows : this.names().flatMap((n) => store.lines.get(n).rows);
    return [names, rows.map(iso)];
  }

  switchTable() {
    if (this.asTable) {
      this.asTable.destroy();
      this.asTable.el.remove();
      this.asTable = null;
      this.chart.el.hidden = false;
      draw(this.chart);
      return;
    }
    const { store } = this.panel;
    const card = this;
    const view = { columns: [], get at() { return store.at; }, changed: null, newestFirst: true, shown: () => card.names().flatMap((n) => store.lines.get(n).rows).sort((a, b) => (a[store.at[card.spec.x]] < b[store.at[card.spec.x]] ? 1 : -1)) };
    view.columns = store.columns;
    this.asTable = new Table({ ...this.spec, columns: [] }, view);
    this.chart.el.hidden = true;
    this.body.append(this.asTable.el);
    draw(this.asTable);
  }

  async picture() {
    const blob = await this.chart.picture(this.title);
    if (blob) save(fileName(this.title, "png"), blob);
  }

  remove() {
    this.chart?.destroy();
    this.table?.destroy();
    this.asTable?.destroy();
    all.splice(all.indexOf(this), 1);
    this.el.remove();
  }
}

document.addEventListener("click", (e) => {
  if (!e.target.closest?.(".tools")) for (const menu of document.querySelectorAll(".menu:not([hidden])")) menu.hidden = true;
});
