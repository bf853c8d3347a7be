// What the whole page shares: pause, the time range, the newest time, the theme.

const query = new URLSearchParams(location.search);
const listeners = new Set();

export const page = {
  paused: false,
  range: null, // {from, to} in ms, or null: live
  edge: -Infinity, // newest x of all charts
  watermark: null,
  skew: 0, // server's clock minus ours
  wall: query.has("wall"),
  dashboard: null,
  calm: matchMedia("(prefers-reduced-motion: reduce)").matches,
};

export const serverNow = () => Date.now() + page.skew;

export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function changed(what) {
  for (const listener of listeners) listener(what);
}

export function setRange(range) {
  page.range = range;
  changed("range");
}

export function pause(on = !page.paused) {
  page.paused = on;
  changed("pause");
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage refused: the choice lasts for this page
  }
}

let theme = query.get("theme") || stored("deras-theme") || "";

export const isDark = () => (theme ? theme === "dark" : dark.matches);

export function applyTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  colours.clear();
  changed("theme");
}

export function switchTheme() {
  theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("deras-theme", theme);
  } catch {
    // As above.
  }
  applyTheme();
}

dark.addEventListener("change", applyTheme);

const colours = new Map();

export function colour(name) {
  let c = colours.get(name);
  if (!c) colours.set(name, (c = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()));
  return c;
}

// One drawing per frame and only of what changed.
const dirty = new Set();
let asked = 0;

export function draw(thing) {
  dirty.add(thing);
  if (!asked) asked = requestAnimationFrame(frame);
}

const after = new Set();
export const afterDraw = (f) => after.add(f);

function frame() {
  asked = 0;
  const things = [...dirty];
  dirty.clear();
  for (const thing of things) thing.draw();
  for (const f of after) f();
}
