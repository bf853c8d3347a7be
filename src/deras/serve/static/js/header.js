// The header: name, state, rate, delay, watermark, pause; and the line that tells of a lost connection.

import { h, icon, setText } from "./dom.js";
import * as format from "./format.js";
import { onChange, page, pause, serverNow, setRange, switchTheme } from "./state.js";
import { t } from "./texts.js";

export class Header {
  constructor(dashboard, help) {
    this.dot = h("span", { class: "dot" });
    this.word = h("span", { class: "word" });
    this.state = h("div", { class: "status", role: "status" }, this.dot, this.word);
    this.rate = figure();
    this.delay = figure(t("delayHelp"));
    this.mark = figure(t("completeHelp"));
    this.pause = h("button", { class: "pause", title: t("pauseKey"), onclick: () => pause() });
    this.back = h("button", { class: "back", hidden: true, onclick: () => setRange(null) }, t("back"));
    const others = dashboard.dashboards.length > 1
      ? h("select", { "aria-label": t("dashboards"), onchange: (e) => { location.href = e.target.value === "main" ? "/" : `/d/${e.target.value}`; } },
          dashboard.dashboards.map((n) => h("option", { value: n, selected: n === dashboard.name }, n)))
      : null;
    this.el = h("header", { class: "top" },
      h("div", { class: "names" }, h("span", { class: "project", text: dashboard.project }), h("h1", { text: dashboard.title, title: dashboard.description }), others),
      this.state,
      h("div", { class: "figures" }, this.rate.el, this.delay.el, this.mark.el),
      h("div", { class: "buttons" }, this.back, this.pause,
        h("button", { class: "ghost", "aria-label": t("theme"), title: t("theme"), onclick: switchTheme }, icon("theme")),
        h("button", { class: "ghost", "aria-label": t("help"), title: `${t("help")} (?)`, onclick: help }, icon("help"))));
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.delays = [];
    this.lostAt = null;
    this.since = null;
    onChange(() => this.show());
    setInterval(() => this.show(), 1000);
    this.show();
  }

  // ms from the server's sending to our screen; clocks of two machines may differ, the least one counts as nothing then.
  painted(sent) {
    this.delays.push(serverNow() - sent);
    if (this.delays.length > 120) this.delays.shift();
  }

  own(share) {
    if (!this.delays.length) return 0;
    const sorted = this.delays.toSorted((a, b) => a - b);
    const base = sorted[0] < 0 || sorted[0] > 1000 ? sorted[0] : 0;
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] - base;
  }

  show() {
    const s = page.status;
    const state = page.lost ? "disconnected" : page.paused ? "paused" : !s ? "connecting" : s.state;
    this.state.dataset.state = state;
    this.el.classList.toggle("old", !!page.lost);
    setText(this.word, t(state));
    this.state.title = s?.message ?? "";
    const button = page.paused ? "play" : "pause";
    if (this.pause.dataset.shows !== button) {
      this.pause.dataset.shows = button;
      this.pause.replaceChildren(icon(button), h("span", { text: page.paused ? t("resume") : t("pause") }));
      this.pause.setAttribute("aria-pressed", String(page.paused));
    }
    this.back.hidden = !page.range;
    if (page.lost) {
      const seconds = Math.max(0, Math.round((performance.now() - this.lostAt) / 1000));
      this.banner.hidden = false;
      this.banner.className = "banner lost";
      setText(this.banner, t("lost", { seconds }));
    } else if (this.since && performance.now() - this.since < 4000) {
      this.banner.hidden = false;
      this.banner.className = "banner good";
      setText(this.banner, t("restored"));
    } else if (s && s.message && s.state === "failed") {
      this.banner.hidden = false;
      this.banner.className = "banner lost";
      setText(this.banner, s.message);
    } else this.banner.hidden = true;
    if (!s || page.lost) return;
    setText(this.rate.value, format.number(Math.round(s.events_per_second), 0));
    setText(this.rate.unit, t("eventsPerSecond"));
    const known = s.delay_p50 !== null;
    this.delay.el.hidden = !known;
    if (known) {
      setText(this.delay.unit, t("delay"));
      setText(this.delay.value, `${ms(s.delay_p50 + this.own(0.5))} / ${ms(s.delay_p99 + this.own(0.99))} ms`);
    }
    const mark = s.watermark;
    this.mark.el.hidden = mark === null || Math.abs(mark) > 8.6e15;
    if (!this.mark.el.hidden) setText(this.mark.value, t("complete", { time: format.shortMoment(mark, "instant", serverNow()) }));
  }

  lost() {
    if (!page.lost) this.lostAt = performance.now();
    page.lost = true;
    this.since = null;
    this.show();
  }

  found() {
    if (page.lost) this.since = performance.now();
    page.lost = false;
    this.show();
  }
}

const ms = (v) => format.number(v, v < 10 ? 1 : 0);

function figure(title) {
  const value = h("b", {});
  const unit = h("span", {});
  return { el: h("div", { class: "figure", title }, value, unit), value, unit };
}
