// The page: asks for its definition, lays it out, follows its stream.

import { close as closeDrawer } from "./drawer.js";
import { h, icon } from "./dom.js";
import { useZone, zoneName } from "./format.js";
import { Header } from "./header.js";
import { mountLive } from "./live.js";
import { Panel } from "./panel.js";
import { afterDraw, applyTheme, draw, onChange, page, pause, setRange } from "./state.js";
import { Stream } from "./stream.js";
import { t, useLanguage } from "./texts.js";
import { Tile } from "./tile.js";

const query = new URLSearchParams(location.search);
const name = location.pathname.startsWith("/d/") ? decodeURIComponent(location.pathname.slice(3)) : "main";
const address = `/v1/dashboards/${encodeURIComponent(name)}`;

let panels = [];
let tiles = [];
let header;

function notice(title, ...lines) {
  document.body.replaceChildren(h("main", { class: "notice" }, h("h1", { text: title }), ...lines));
}

async function begin() {
  useLanguage(query.get("lang"));
  applyTheme();
  let answer;
  try {
    answer = await fetch(address, { headers: { accept: "application/json" } });
  } catch {
    notice(t("connecting"));
    setTimeout(begin, 1000);
    return;
  }
  if (answer.status === 401) {
    notice(t("refused"), h("p", { text: t("refusedHint") }), h("form", { method: "get", class: "row" }, h("input", { type: "password", name: "token", "aria-label": t("token"), autocomplete: "current-password" }), h("button", {}, t("open"))));
    return;
  }
  const body = await answer.json();
  if (!answer.ok) {
    notice(t("pageError"), h("p", { class: "strong", text: body.message }), body.detail ? h("p", { text: body.detail }) : null, h("p", { text: body.hint ?? "" }), h("p", { class: "quiet", text: t("retrying") }));
    setTimeout(begin, 3000);
    return;
  }
  build(body);
}

function build(dashboard) {
  page.dashboard = dashboard;
  useLanguage(query.get("lang") || dashboard.language);
  useZone(dashboard.time_zone);
  document.title = `${dashboard.title} · Deras`;
  document.documentElement.classList.toggle("wall", page.wall);
  header = new Header(dashboard, help);
  const tileRow = h("div", { class: "tiles" });
  const grid = h("div", { class: "grid", id: "panels" });
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#panels" }, t("skip")), header.el, header.banner,
    h("main", {}, tileRow, grid), h("footer", { class: "bottom" }, h("span", { text: t("timesIn", { zone: zoneName("instant") }) }), h("span", { text: "Deras" })));
  mountLive();
  tiles = dashboard.tiles.map((s) => { const tile = new Tile(s); tileRow.append(tile.el); return tile; });
  tileRow.hidden = !tiles.length;
  panels = dashboard.panels.map((s) => new Panel(s, grid));
  const byId = new Map([...panels, ...tiles].map((p) => [p.spec.id, p]));
  const moment = new URLSearchParams(location.hash.slice(1));
  if (moment.has("from") && moment.has("to")) setRange({ from: Number(moment.get("from")), to: Number(moment.get("to")) });

  let sent = 0;
  afterDraw(() => { if (sent && !page.paused) { header.painted(sent); sent = 0; } });
  const stream = new Stream(`${address}/events`, {
    open: () => header.found(),
    lost: () => header.lost(),
    reload: () => location.reload(),
    news: (news) => {
      if (news.status) {
        page.status = news.status;
        page.skew = Math.abs(news.status.now - Date.now()) > 2000 ? news.status.now - Date.now() : 0;
        header.show();
        for (const p of panels) p.state();
      }
      for (const message of news.messages) byId.get(message.id)?.take(message);
      if (news.messages.length) sent = news.sent;
    },
  });
  page.stream = stream;
  stream.open();
  setInterval(() => { for (const p of panels) for (const c of p.cards.values()) c.stamp(); }, 2000);

  onChange((what) => {
    if (what === "pause" && !page.paused) tiles.forEach((tile) => tile.draw());
    if (what === "theme") for (const p of panels) for (const c of p.cards.values()) c.chart?.plot?.redraw(false);
    if (what === "edge" && page.paused) return;
    for (const p of panels) p.redraw();
  });
  freeze();
}

// While paused the picture stands still: data goes on into the stores, the window does not move.
function freeze() {
  let held = false;
  onChange((what) => {
    if (what !== "pause") return;
    const panel = panels.find((p) => p.store.timed);
    if (page.paused && !page.range && panel && Number.isFinite(page.edge)) {
      held = true;
      page.range = { from: page.edge - panel.spec.window, to: page.edge };
    } else if (!page.paused && held) {
      held = false;
      page.range = null;
    }
    header.show();
  });
}

function step(direction) {
  const panel = panels.find((p) => p.store.timed);
  if (!panel || !Number.isFinite(page.edge)) return;
  const window = page.range ? page.range.to - page.range.from : panel.spec.window;
  const to = (page.range?.to ?? page.edge) + direction * window;
  if (to >= page.edge && !page.paused) setRange(null);
  else setRange({ from: to - window, to });
}

function help() {
  const before = document.querySelector("dialog.help");
  if (before) { before.close(); return; }
  const keys = [[["Space"], "keySpace"], [["←", "→"], "keyArrows"], [["/"], "keySlash"], [["?"], "keyHelp"], [["Esc"], "keyEsc"]];
  const dialog = h("dialog", { class: "help", "aria-label": t("help") },
    h("header", {}, h("h2", { text: t("keys") }), h("button", { class: "ghost", "aria-label": t("close"), onclick: () => dialog.close() }, icon("close"))),
    h("dl", { class: "keys" }, keys.map(([k, text]) => h("div", {}, h("dt", {}, k.map((x) => h("kbd", { text: x }))), h("dd", { text: t(text) })))),
    h("ul", {}, ["mouseDrag", "mouseDouble", "mouseClick"].map((k) => h("li", { text: t(k) }))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || !header) return;
  const typing = e.target.matches?.("input, textarea, select");
  if (e.key === "Escape") {
    if (typing) { e.target.value = ""; e.target.dispatchEvent(new Event("input")); e.target.blur(); }
    else if (!closeDrawer() && page.range) setRange(null);
    return;
  }
  if (typing) return;
  const onButton = e.target.matches?.("button, a");
  if (e.key === " " && !onButton) { e.preventDefault(); pause(); }
  else if (e.key === "ArrowLeft" && !e.target.closest?.(".menu")) { e.preventDefault(); step(-1); }
  else if (e.key === "ArrowRight" && !e.target.closest?.(".menu")) { e.preventDefault(); step(1); }
  else if (e.key === "/") { e.preventDefault(); for (const p of panels) if (p.isTable && p.find()) break; }
  else if (e.key === "?") help();
});

begin();
