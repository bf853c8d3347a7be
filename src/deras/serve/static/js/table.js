// A table of any length: only the rows in sight exist. On a phone each row is a card.

import { h, setText } from "./dom.js";
import { showRow } from "./drawer.js";
import * as format from "./format.js";
import { draw, page, serverNow } from "./state.js";
import { t } from "./texts.js";

const ROW = 40;
const CARD = 84;
const narrow = matchMedia("(max-width: 640px)");

export class Table {
  constructor(panel, store, options = {}) {
    this.panel = panel;
    this.store = store;
    this.text = "";
    this.rows = [];
    this.options = options;
    this.filter = h("input", { type: "search", class: "find", placeholder: t("find"), "aria-label": t("findIn", { title: panel.title }),
      oninput: () => { this.text = this.filter.value.trim(); draw(this); } });
    this.head = h("div", { class: "tr th", role: "row" });
    this.space = h("div", { class: "space" });
    this.body = h("div", { class: "tbody", role: "rowgroup", tabindex: "0", onscroll: () => draw(this) }, this.space);
    this.none = h("p", { class: "quiet", hidden: true });
    this.el = h("div", { class: "table", role: "table", "aria-label": panel.title }, h("div", { role: "rowgroup" }, this.head), this.body, this.none);
    this.pool = [];
    this.size = new ResizeObserver(() => draw(this));
    this.size.observe(this.body);
    this.timer = setInterval(() => draw(this), 1000);
    narrow.addEventListener("change", () => { this.built = ""; draw(this); });
  }

  specs() {
    const given = Object.fromEntries(this.panel.columns.map((c) => [c.name, c]));
    const names = this.panel.columns.length ? this.panel.columns.map((c) => c.name) : this.store.columns.map((c) => c.name);
    return names.filter((n) => this.store.at[n] !== undefined).map((n) => {
      const kind = this.store.columns[this.store.at[n]].kind;
      const spec = given[n] ?? { name: n, title: "", format: "", unit: "", digits: null };
      return { ...spec, title: spec.title || n, kind, at: this.store.at[n], right: (kind === "number" || kind === "integer") && spec.format !== "severity" };
    });
  }

  build() {
    const sign = JSON.stringify([this.store.columns, narrow.matches]);
    if (this.built === sign) return;
    this.built = sign;
    this.columns = this.specs();
    this.named = Object.fromEntries(this.columns.map((c) => [c.name, c]));
    // On a phone a row is a card: name and severity on top, the sentence below, time and figure at the right.
    const role = (name, test) => { const found = this.columns.find((c) => !c.role && test(c)); if (found) found.role = name; };
    role("severity", (c) => c.format === "severity");
    role("when", (c) => c.kind === "instant" || c.kind === "local");
    role("name", (c) => c.kind === "text" || c.kind === "integer");
    role("figure", (c) => c.right);
    this.columns.toReversed().some((c) => !c.role && c.kind === "text" && (c.role = "words"));
    role("words", (c) => !this.columns.some((o) => o.role === "words") && c.kind !== "json");
    // A wide last text column takes what is left; numbers and times take what they need.
    const weight = (c) => (c.format === "severity" ? "minmax(104px, 0.8fr)" : c.right ? "minmax(72px, 0.6fr)" : c.kind === "instant" || c.kind === "local" ? "minmax(104px, 0.9fr)" : c === this.columns.at(-1) ? "minmax(120px, 3fr)" : "minmax(96px, 1fr)");
    this.el.style.setProperty("--columns", this.columns.map(weight).join(" "));
    this.head.replaceChildren(...this.columns.map((c) => h("div", { role: "columnheader", class: c.right ? "right" : "", text: c.unit ? `${c.title} (${c.unit})` : c.title })));
    for (const r of this.pool) r.el.remove();
    this.pool = [];
  }

  draw() {
    if (!this.el.isConnected || !this.store.columns.length) return;
    this.build();
    if (!page.paused || !this.rows.length || this.text !== this.shownText) {
      const top = this.body.scrollTop;
      const before = this.rows[Math.floor(top / this.height)];
      this.rows = this.store.shown(this.text);
      this.shownText = this.text;
      // Who has scrolled down keeps the row in sight while new ones come above it.
      if (top > this.height && before && this.store.newestFirst) {
        const now = this.rows.indexOf(before);
        if (now >= 0) this.body.scrollTop = now * this.height + (top % this.height);
      }
    }
    const height = this.height;
    this.space.style.height = `${this.rows.length * height}px`;
    const first = Math.max(0, Math.floor(this.body.scrollTop / height) - 4);
    const count = Math.min(this.rows.length - first, Math.ceil(this.body.clientHeight / height) + 9);
    while (this.pool.length < count) this.pool.push(this.line());
    this.pool.forEach((line, i) => {
      const row = i < count ? this.rows[first + i] : null;
      line.el.hidden = !row;
      if (row) this.fill(line, row, first + i);
    });
    const none = this.rows.length === 0 && this.text;
    this.none.hidden = !none;
    if (none) setText(this.none, t("noMatch", { text: this.text }));
    this.el.setAttribute("aria-rowcount", String(this.rows.length));
    this.options.counted?.(this.rows.length);
  }

  get height() { return narrow.matches && this.columns?.length > 2 ? CARD : page.wall ? 56 : ROW; }

  line() {
    const cells = this.columns.map((c) => h("div", { role: "cell", class: `td${c.right ? " right" : ""} is-${c.role ?? "more"}`, "data-title": c.title }));
    const el = h("div", { class: "tr", role: "row", tabindex: "-1" }, cells);
    const line = { el, cells, row: null };
    const openRow = () => line.row && showRow(this.panel.title, this.store.columns, line.row, this.named);
    el.addEventListener("click", () => { if (!String(getSelection())) openRow(); });
    el.addEventListener("keydown", (e) => {
      if (e.key === "Enter") openRow();
      const next = e.key === "ArrowDown" ? el.nextElementSibling : e.key === "ArrowUp" ? el.previousElementSibling : null;
      if (next && next !== this.space) { e.preventDefault(); next.focus(); }
    });
    el.tabIndex = 0;
    this.body.append(el);
    return line;
  }

  fill(line, row, i) {
    line.el.style.transform = `translateY(${i * this.height}px)`;
    line.el.setAttribute("aria-rowindex", String(i + 1));
    if (line.row !== row) {
      line.row = row;
      line.el.classList.remove("fresh");
      const when = this.store.changed?.get(row);
      if (when !== undefined && performance.now() - when < 1200 && !page.calm) {
        void line.el.offsetWidth; // starts the flash again on a row element used before
        line.el.classList.add("fresh");
      }
      this.columns.forEach((c, k) => this.cell(line.cells[k], c, row[c.at]));
    }
    this.columns.forEach((c, k) => { if (this.relative(c)) setText(line.cells[k], this.age(row[c.at], c)); });
  }

  relative(c) { return c.format === "relative" && (c.kind === "instant" || c.kind === "local"); }

  // Replayed data lies years back: "12 y ago" would say nothing, so its own time is shown.
  age(ms, c) {
    if (ms === null) return t("none");
    const now = serverNow();
    return now - ms > 172_800_000 || ms - now > 60_000 ? format.moment(ms, c.kind) : format.ago(ms, now);
  }

  cell(el, c, v) {
    if (c.format === "severity") {
      const s = format.severity(v);
      el.replaceChildren(h("span", { class: `badge ${s.level}`, text: `${s.shape} ${s.word}` }));
      return;
    }
    if (this.relative(c)) {
      el.title = format.moment(v, c.kind, true);
      return;
    }
    const text = format.value(v, { ...c, unit: "" }, c.kind);
    setText(el, text);
    if (text.length > 24) el.title = text;
  }

  destroy() {
    clearInterval(this.timer);
    this.size.disconnect();
  }
}
