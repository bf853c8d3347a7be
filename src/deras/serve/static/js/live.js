// What screen readers are told: at most one sentence every three seconds, the newest.

import { h } from "./dom.js";

const region = h("div", { class: "offscreen", role: "status", "aria-live": "polite", id: "said" });
let next = 0;
let waiting = null;

export function mountLive() {
  document.body.append(region);
}

export function say(text) {
  const now = performance.now();
  if (now >= next) {
    next = now + 3000;
    region.textContent = text;
    return;
  }
  if (waiting === null) setTimeout(() => { region.textContent = waiting; waiting = null; next = performance.now() + 3000; }, next - now);
  waiting = text;
}
