// Small helpers: elements without inline scripts or styles, files, the clipboard.

export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) el.addEventListener(k.slice(2), v);
    else if (k === "class") el.className = v;
    else if (k === "text") el.textContent = v;
    else el.setAttribute(k, v === true ? "" : v);
  }
  for (const c of children.flat()) if (c !== null && c !== undefined && c !== false) el.append(c);
  return el;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, props, ...children) {
  const el = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(props || {})) el.setAttribute(k, v);
  el.append(...children);
  return el;
}

const PATHS = {
  pause: "M6 4h3v12H6zM11 4h3v12h-3z",
  play: "M6 4l10 6-10 6z",
  theme: "M10 3.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zM10 3.5a6.5 6.5 0 0 1 0 13z",
  more: "M4 10h.01M10 10h.01M16 10h.01",
  close: "M5 5l10 10M15 5L5 15",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.4 2.3c-.6.3-.9.8-.9 1.7M10 14.5h.01",
};

export function icon(name) {
  const filled = name === "pause" || name === "play";
  return svg("svg", { viewBox: "0 0 20 20", class: `icon icon-${name}`, "aria-hidden": "true" },
    svg("path", { d: PATHS[name], fill: filled || name === "theme" ? "currentColor" : "none", "fill-rule": "evenodd", stroke: filled ? "none" : "currentColor",
      "stroke-width": name === "more" ? 2.6 : 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" }));
}

export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

export function save(name, blob) {
  const a = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard off https and loopback: the old way still works there.
    const area = h("textarea", { class: "offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function csvCell(v) {
  if (v === null || v === undefined) return "";
  const s = typeof v === "object" ? JSON.stringify(v) : String(v);
  return s === "" || /[",\r\n]/.test(s) || s !== s.trim() ? `"${s.replaceAll('"', '""')}"` : s;
}

export function csv(names, rows) {
  return [names, ...rows].map((r) => r.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

export function fileName(title, suffix) {
  return `${title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "panel"}.${suffix}`;
}
