// A number with its unit, its past as a small line, and how it moved.

import { h, setText, svg } from "./dom.js";
import * as format from "./format.js";
import { page } from "./state.js";
import { t } from "./texts.js";

export class Tile {
  constructor(spec) {
    this.spec = spec;
    this.value = h("span", { class: "tile-value" });
    this.unit = h("span", { class: "tile-unit", text: ["bytes", "percent", "duration"].includes(spec.format) ? "" : spec.unit });
    this.word = h("span", { class: "tile-word" });
    this.move = h("span", { class: "tile-move" });
    this.path = svg("path", { fill: "none", "stroke-width": 1.5, "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke" });
    this.area = svg("path", { class: "spark-area" });
    this.spark = svg("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.path);
    this.el = h("section", { class: "tile loading", "aria-label": spec.title },
      h("h2", { text: spec.title }),
      h("div", { class: "tile-line" }, this.value, this.unit),
      h("div", { class: "tile-foot" }, this.word, this.move), spec.spark ? this.spark : null);
  }

  take(message) {
    if (message.op === "error") {
      this.el.classList.remove("loading");
      this.el.classList.add("failed");
      this.value.textContent = t("none");
      setText(this.word, message.error.message);
      this.word.title = message.error.hint || "";
      return;
    }
    this.el.classList.remove("loading", "failed");
    this.last = message;
    if (!page.paused) this.draw();
  }

  draw() {
    const { value, spark, kind } = this.last ?? {};
    if (!this.last) return;
    const s = this.spec;
    setText(this.value, format.value(value, { ...s, unit: "" }, kind));
    const level = format.level(value, s.thresholds);
    this.el.dataset.level = level?.level ?? "";
    setText(this.word, level ? `${level.shape} ${s.thresholds.label || level.word}` : "");
    if (!s.spark) return;
    const points = spark.filter((v) => typeof v === "number");
    if (points.length < 2) {
      this.path.setAttribute("d", "");
      this.area.setAttribute("d", "");
      setText(this.move, "");
      return;
    }
    const low = Math.min(...points), high = Math.max(...points);
    const x = (i) => (i / (points.length - 1)) * 100;
    const y = (v) => (high === low ? 14 : 26 - ((v - low) / (high - low)) * 24);
    const line = points.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    this.path.setAttribute("d", line);
    this.area.setAttribute("d", `${line}L100 28L0 28Z`);
    if (!s.change) return;
    const by = points[points.length - 1] - points[0];
    const arrow = Math.abs(by) < 1e-12 ? "" : by > 0 ? "↑" : "↓";
    setText(this.move, arrow ? `${arrow} ${format.value(Math.abs(by), { ...s, unit: "" })}` : "");
  }
}
