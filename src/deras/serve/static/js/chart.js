// One chart of one or more lines: uPlot draws axes and lines; band, marks, limits and labels are drawn here.

import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { colour, draw, page, setRange } from "./state.js";
import { lowerBound } from "./store.js";
import { t } from "./texts.js";

const SYNC = "page";
const SERIES = 6;
const S = 1000, M = 60 * S, H = 60 * M, D = 24 * H;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, S, 2 * S, 5 * S, 10 * S, 15 * S, 30 * S, M, 2 * M, 5 * M, 10 * M, 15 * M, 30 * M, H, 2 * H, 3 * H, 6 * H, 12 * H, D, 2 * D, 4 * D, 7 * D, 14 * D, 28 * D, 56 * D, 365 * D];

export class Chart {
  constructor(panel, store, lineNames, handlers) {
    this.panel = panel;
    this.store = store;
    this.lineNames = lineNames; // () => names of the lines to draw
    this.handlers = handlers;
    this.el = h("div", { class: "chart", tabindex: "0", role: "img" });
    this.plot = null;
    this.shape = "";
    this.height = 0;
    this.size = new ResizeObserver(() => draw(this));
    this.size.observe(this.el);
    this.points = [];
    this.flashes = [];
    this.el.addEventListener("keydown", (e) => this.key(e));
  }

  get bars() { return this.panel.mark === "bar"; }

  lines() {
    const names = this.lineNames();
    const ys = this.panel.y;
    const found = [];
    for (const name of names) {
      const line = this.store.lines.get(name);
      if (!line) continue;
      ys.forEach((y) => found.push({ name, label: ys.length > 1 ? (name ? `${name} · ${y}` : y) : name, line, y: this.store.at[y] }));
    }
    return found;
  }

  // Arrays of one length for uPlot: one x for all lines, null where a line has no point.
  data(lines) {
    if (lines.length === 1) {
      const { line, y } = lines[0];
      return [line.x, line.rows.map((r) => r[y])];
    }
    const stamps = new Set();
    for (const { line } of lines) for (const x of line.x) stamps.add(x);
    const xs = [...stamps];
    if (this.store.timed) xs.sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    return [xs, ...lines.map(({ line, y }) => {
      const out = new Array(xs.length).fill(null);
      for (let i = 0; i < line.x.length; i++) out[place.get(line.x[i])] = line.rows[i][y];
      return out;
    })];
  }

  range() {
    if (page.range) return [page.range.from, page.range.to];
    const last = Number.isFinite(page.edge) ? page.edge : this.store.last();
    return [last - this.panel.window, last];
  }

  extent(lines) {
    let low = Infinity, high = -Infinity;
    const [from, to] = this.store.timed ? this.range() : [-Infinity, Infinity];
    const take = (v) => {
      if (typeof v !== "number") return;
      if (v < low) low = v;
      if (v > high) high = v;
    };
    const band = this.panel.band;
    const bandAt = band && lines.length === 1 ? [this.store.at[band.lower], this.store.at[band.upper]] : [];
    for (const { line, y } of lines) {
      const a = this.store.timed ? lowerBound(line.x, from) : 0;
      for (let i = a; i < line.x.length && !(line.x[i] > to); i++) {
        take(line.rows[i][y]);
        for (const b of bandAt) take(line.rows[i][b]);
      }
    }
    if (low > high) return [0, 1];
    const limits = this.panel.thresholds;
    const reach = Math.max(high - low, Math.abs(high) * 0.02, 1e-9);
    // A limit far away would flatten the line; near ones are worth seeing.
    for (const limit of limits ? [limits.warn, limits.alarm] : []) {
      if (limit !== null && limit > low - reach * 0.8 && limit < high + reach * 0.8) take(limit);
    }
    const pad = Math.max((high - low) * 0.1, Math.abs(high) * 0.001, 1e-9);
    if (this.bars) return [Math.min(0, low), Math.max(0, high + pad)];
    return [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
  }

  draw() {
    if (!this.el.isConnected || !this.store.columns.length) return;
    const lines = this.lines();
    const width = this.el.clientWidth;
    const height = this.el.clientHeight;
    if (!lines.length || width < 40 || height < 40) return;
    this.current = lines;
    const shape = `${lines.map((l) => l.label).join("|")}${this.store.xKind}${this.bars}`;
    const data = this.data(lines);
    this.xs = data[0];
    const shown = this.store.timed ? data : [data[0].map((_, i) => i), ...data.slice(1)];
    this.limits = this.extent(lines);
    if (!this.plot || this.shape !== shape) {
      this.plot?.destroy();
      this.shape = shape;
      this.plot = this.make(lines, shown, width, height);
    } else {
      if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
      this.plot.setData(shown, false);
    }
    const [min, max] = this.store.timed ? this.range() : [-0.6, data[0].length - 0.4];
    this.plot.batch(() => {
      this.plot.setScale("x", { min, max });
      this.plot.setScale("y", { min: this.limits[0], max: this.limits[1] });
    });
    this.summary(lines);
  }

  colourOf(i) { return colour(`series-${(i % SERIES) + 1}`); }

  make(lines, data, width, height) {
    const labelled = !this.bars && lines.length > 1 && lines.length <= 5;
    const end = labelled ? Math.min(page.wall ? 180 : 120, 14 + Math.max(...lines.map((l) => l.label.length)) * (page.wall ? 9.2 : 6.8)) : page.wall ? 24 : 18;
    const font = `${page.wall ? 16 : 12}px ${getComputedStyle(document.body).fontFamily}`;
    const fontColour = () => colour("dim");
    const grid = { stroke: () => colour("grid"), width: 1 };
    const kind = this.store.xKind;
    const bars = this.bars ? uPlot.paths.bars({ size: [0.62, 64], radius: 0.12 }) : undefined;
    return new uPlot({
      width, height, ms: 1,
      tzDate: (ts) => uPlot.tzDate(new Date(ts), format.zoneOf(kind)),
      padding: [this.panel.unit ? 22 : 10, end, 0, 0],
      legend: { show: false },
      select: { show: this.store.timed },
      cursor: {
        sync: this.store.timed ? { key: SYNC, setSeries: false } : undefined,
        drag: { x: this.store.timed, y: false, setScale: false, dist: 6 },
        points: { size: 7, width: 2, stroke: (u, i) => this.colourOf(i - 1), fill: () => colour("surface") },
        focus: { prox: 24 },
        bind: { dblclick: () => () => { setRange(null); return null; } },
        y: false,
      },
      scales: {
        x: { time: this.store.timed, auto: false },
        y: { auto: false, range: (u, a, b) => [a, b] },
      },
      axes: [
        {
          stroke: fontColour, font, grid: { show: false }, ticks: { show: false }, gap: 6, size: 28, incrs: this.store.timed ? STEPS : undefined, space: this.bars ? 40 : () => (width < 480 ? 56 : 84),
          values: (u, splits, axis, space, step) => this.store.timed ? format.axisTimes(splits, kind, step) : splits.map((i) => (Number.isInteger(i) ? this.label(this.xs[i], data[0].length, u) : "")),
          splits: this.store.timed ? undefined : () => this.xs.map((_, i) => i),
        },
        {
          stroke: fontColour, font, grid, ticks: { show: false }, gap: 8, space: 44,
          size: (u, values) => (values ? Math.max(34, 16 + Math.max(...values.map((v) => String(v ?? "").length)) * (page.wall ? 9 : 6.8)) : 40),
          values: (u, splits) => this.axisNumbers(splits),
        },
      ],
      series: [{}, ...lines.map((l, i) => ({
        label: l.label,
        stroke: () => this.colourOf(i),
        width: this.bars ? 0 : page.wall ? 3 : 1.75,
        paths: bars,
        fill: this.bars ? () => this.colourOf(i) : this.panel.mark === "area" ? () => colour(`fill-${(i % SERIES) + 1}`) : undefined,
        points: { show: false },
        spanGaps: true,
      }))],
      hooks: {
        drawClear: [(u) => this.below(u)],
        draw: [(u) => this.above(u)],
        setCursor: [(u) => this.hover(u)],
        setSelect: [(u) => this.select(u)],
        ready: [(u) => u.over.addEventListener("click", (e) => this.click(e))],
      },
    }, data, this.el);
  }

  label(x, n, u) {
    const room = Math.max(3, Math.floor(u.bbox.width / devicePixelRatio / n / 7));
    const text = String(x);
    return text.length > room ? `${text.slice(0, room - 1)}…` : text;
  }

  axisNumbers(splits) {
    const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
    const digits = Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    const even = Number.isInteger(Number((step * 10 ** digits).toFixed(6))) ? digits : digits + 1;
    const big = Math.max(...splits.map(Math.abs)) >= 1e6;
    return splits.map((v) => (big ? Intl.NumberFormat("en", { notation: "compact" }).format(v) : format.number(v, even)));
  }

  below(u) {
    const band = this.panel.band;
    const lines = this.current;
    if (!band || !lines || lines.length !== 1) return;
    const { line } = lines[0];
    const lower = this.store.at[band.lower], upper = this.store.at[band.upper], expected = this.store.at[band.expected];
    const [from, to] = this.visible(u, line);
    if (to - from < 1) return;
    const ctx = this.clip(u);
    ctx.fillStyle = colour("band");
    let run = [];
    const close = () => {
      if (run.length > 1) {
        ctx.beginPath();
        run.forEach((i, n) => ctx[n ? "lineTo" : "moveTo"](u.valToPos(line.x[i], "x", true), u.valToPos(line.rows[i][upper], "y", true)));
        for (const i of run.toReversed()) ctx.lineTo(u.valToPos(line.x[i], "x", true), u.valToPos(line.rows[i][lower], "y", true));
        ctx.fill();
      }
      run = [];
    };
    for (let i = from; i <= to; i++) {
      if (line.rows[i][lower] === null || line.rows[i][upper] === null) close();
      else run.push(i);
    }
    close();
    if (expected !== undefined) {
      ctx.strokeStyle = colour("expected");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      let open = false;
      for (let i = from; i <= to; i++) {
        const v = line.rows[i][expected];
        if (v === null) { open = false; continue; }
        ctx[open ? "lineTo" : "moveTo"](u.valToPos(line.x[i], "x", true), u.valToPos(v, "y", true));
        open = true;
      }
      ctx.stroke();
    }
    ctx.restore();
  }

  clip(u) {
    const ctx = u.ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    return ctx;
  }

  visible(u, line) {
    const { min, max } = u.scales.x;
    return [Math.max(0, lowerBound(line.x, min) - 1), Math.min(line.x.length - 1, lowerBound(line.x, max))];
  }

  above(u) {
    const ratio = devicePixelRatio;
    const ctx = u.ctx;
    const font = `${(page.wall ? 16 : 12) * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.save();
    ctx.font = font;
    if (this.panel.unit) {
      ctx.fillStyle = colour("dim");
      ctx.textAlign = "left";
      ctx.textBaseline = "top";
      ctx.fillText(this.panel.unit, u.bbox.left, 1 * ratio);
    }
    this.drawLimits(u, ctx, ratio);
    if (!this.bars) this.endLabels(u, ctx, ratio);
    ctx.restore();
    this.drawMarks(u, ratio);
  }

  drawLimits(u, ctx, ratio) {
    const limits = this.panel.thresholds;
    if (!limits) return;
    for (const [name, v] of [["warning", limits.warn], ["critical", limits.alarm]]) {
      if (v === null || v < u.scales.y.min || v > u.scales.y.max) continue;
      const y = Math.round(u.valToPos(v, "y", true));
      ctx.strokeStyle = colour(name);
      ctx.lineWidth = ratio;
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(u.bbox.left, y);
      ctx.lineTo(u.bbox.left + u.bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.fillStyle = colour(name);
      ctx.textAlign = "left";
      ctx.textBaseline = "bottom";
      ctx.fillText(limits.label || format.number(v), u.bbox.left + 4 * ratio, y - 2 * ratio);
    }
  }

  endLabels(u, ctx, ratio) {
    const lines = this.current || [];
    if (lines.length < 2 || lines.length > 5) return;
    const ends = [];
    lines.forEach((l, i) => {
      const [, to] = this.visible(u, l.line);
      for (let k = Math.min(to, l.line.x.length - 1); k >= 0 && k > to - 50; k--) {
        const v = l.line.rows[k][l.y];
        if (v !== null && l.line.x[k] <= u.scales.x.max) { ends.push({ text: l.label, y: u.valToPos(v, "y", true), i }); break; }
      }
    });
    ends.sort((a, b) => a.y - b.y);
    const gap = 15 * ratio;
    for (let k = 1; k < ends.length; k++) ends[k].y = Math.max(ends[k].y, ends[k - 1].y + gap);
    const bottom = u.bbox.top + u.bbox.height;
    for (let k = ends.length - 1, low = bottom; k >= 0; k--) { ends[k].y = Math.min(ends[k].y, low); low = ends[k].y - gap; }
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const e of ends) {
      ctx.fillStyle = colour(`text-series-${(e.i % SERIES) + 1}`);
      ctx.fillText(e.text, u.bbox.left + u.bbox.width + 8 * ratio, e.y);
    }
  }

  drawMarks(u, ratio) {
    this.points = [];
    const lines = this.current;
    if (!this.panel.marks || !lines) return;
    const ctx = this.clip(u);
    const now = performance.now();
    let again = false;
    for (const mark of this.store.marks(lines.map((l) => l.name))) {
      if (mark.x < u.scales.x.min || mark.x > u.scales.x.max) continue;
      const v = mark.row[this.store.at[this.panel.y[0]]];
      if (v === null) continue;
      const x = u.valToPos(mark.x, "x", true), y = u.valToPos(v, "y", true);
      this.points.push({ x: x / ratio, y: y / ratio, mark });
      ctx.strokeStyle = colour("mark-line");
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
      const fresh = page.calm ? 1 : Math.min(1, (now - (mark.row.seen ?? -1e9)) / 900);
      if (fresh < 1) {
        again = true;
        ctx.globalAlpha = 0.5 * (1 - fresh);
        ctx.fillStyle = colour("critical");
        ctx.beginPath();
        ctx.arc(x, y, (6 + 14 * fresh) * ratio, 0, 7);
        ctx.fill();
        ctx.globalAlpha = 1;
      }
      const s = (page.wall ? 8 : 5.5) * ratio;
      ctx.beginPath();
      ctx.moveTo(x, y - s); ctx.lineTo(x + s, y); ctx.lineTo(x, y + s); ctx.lineTo(x - s, y);
      ctx.closePath();
      ctx.fillStyle = colour("critical");
      ctx.strokeStyle = colour("surface");
      ctx.lineWidth = 1.5 * ratio;
      ctx.fill();
      ctx.stroke();
    }
    ctx.restore();
    if (again && !page.paused) draw(this);
  }

  hover(u) {
    const i = u.cursor.idx;
    this.handlers.hover(i === null || i === undefined || u.cursor.left < 0 ? null : this.readout(u, i));
    const near = this.near(u.cursor.left + u.bbox.left / devicePixelRatio, u.cursor.top + u.bbox.top / devicePixelRatio);
    this.el.classList.toggle("on-mark", !!near);
  }

  readout(u, i) {
    const x = this.xs[i];
    const values = this.current.map((l, n) => {
      let v = u.data[n + 1][i];
      for (let k = i; v === null && k > Math.max(0, i - 20); k--) v = u.data[n + 1][k];
      return { label: l.label, v, i: n };
    });
    return { x: this.store.timed ? format.clock(x, this.store.xKind) : String(x), values };
  }

  select(u) {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.dragged = performance.now();
    setRange({ from, to });
  }

  near(x, y) {
    let best = null, distance = 16;
    for (const p of this.points) {
      const d = Math.hypot(p.x - x, p.y - y);
      if (d < distance) { distance = d; best = p; }
    }
    return best;
  }

  click(e) {
    if (performance.now() - (this.dragged ?? -1e9) < 100) return;
    const box = this.el.getBoundingClientRect();
    const found = this.near(e.clientX - box.left, e.clientY - box.top);
    if (found) this.handlers.mark(found.mark);
  }

  key(e) {
    if (e.key === "Enter" && this.panel.marks) {
      const marks = this.store.marks(this.lineNames());
      if (marks.length) { e.preventDefault(); this.handlers.mark(marks[marks.length - 1]); }
    }
  }

  summary(lines) {
    const now = performance.now();
    if (now - (this.told ?? -1e9) < 5000) return;
    this.told = now;
    const p = this.panel;
    const texts = lines.slice(0, 8).map((l) => {
      let min = Infinity, max = -Infinity, last = null;
      for (const r of l.line.rows) { const v = r[l.y]; if (v !== null) { if (v < min) min = v; if (v > max) max = v; last = v; } }
      return t("summaryLine", { name: l.label || p.title, last: format.value(last, p), min: format.value(min, p), max: format.value(max, p) });
    });
    const text = t("summary", { kind: t(p.mark), n: lines.length, span: format.span(p.window), lines: texts.join(" ") });
    this.el.setAttribute("aria-label", `${p.title}. ${text}`);
  }

  picture(title) {
    if (!this.plot) return Promise.resolve(null);
    const from = this.plot.ctx.canvas;
    const ratio = devicePixelRatio;
    const canvas = h("canvas", { width: from.width + 32 * ratio, height: from.height + 60 * ratio });
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = colour("surface");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.fillStyle = colour("text");
    ctx.font = `600 ${15 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillText(title, 16 * ratio, 28 * ratio);
    ctx.drawImage(from, 16 * ratio, 44 * ratio);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  destroy() {
    this.size.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }
}

export function writeReadout(el, panel, found) {
  if (!found) return;
  const shown = found.values.length > 5 ? [] : found.values;
  if (shown.length <= 1) {
    setText(el, shown.length ? format.value(shown[0].v, panel) : "");
    return;
  }
  el.replaceChildren(...shown.map((v) => h("span", { class: `key series-${(v.i % SERIES) + 1}` }, `${v.label} `, h("b", { text: format.value(v.v, panel) }))));
}
