// Numbers, units and times as text; every formatter is made once.

import { language, t } from "./texts.js";

let zone;
let zoneFixed = "";
const made = new Map();

function once(key, make) {
  let f = made.get(key);
  if (!f) made.set(key, (f = make()));
  return f;
}

export function useZone(name) {
  zoneFixed = name || "";
  zone = zoneFixed || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export const zoneOf = (kind) => (kind === "local" ? "UTC" : zone);

export function zoneName(kind) {
  if (kind === "local") return t("asRecorded");
  const parts = new Intl.DateTimeFormat(language, { timeZone: zone, timeZoneName: "short" }).formatToParts(new Date());
  const short = parts.find((p) => p.type === "timeZoneName")?.value ?? "";
  return zone === short ? zone : `${zone.replaceAll("_", " ")} (${short})`;
}

export function number(v, digits, unit) {
  if (v === null || v === undefined || v === "") return t("none");
  if (typeof v !== "number") return String(v);
  let d = digits;
  if (d === null || d === undefined) {
    const a = Math.abs(v);
    d = Number.isInteger(v) ? 0 : a >= 1000 ? 0 : a >= 100 ? 1 : a >= 1 ? 2 : 3;
  }
  const f = once(`n${d}${language}`, () => new Intl.NumberFormat(language, { minimumFractionDigits: digits ?? 0 ? d : 0, maximumFractionDigits: d }));
  const fixed = digits !== null && digits !== undefined ? once(`f${d}${language}`, () => new Intl.NumberFormat(language, { minimumFractionDigits: d, maximumFractionDigits: d })) : f;
  return fixed.format(v) + (unit ? (unit === "%" ? " %" : ` ${unit}`) : "");
}

const BYTES = ["B", "KB", "MB", "GB", "TB", "PB"];

export function value(v, spec, kind) {
  if (v === null || v === undefined) return t("none");
  const { format = "number", digits = null, unit = "" } = spec || {};
  switch (format) {
    case "integer": return number(typeof v === "number" ? Math.round(v) : v, 0, unit);
    case "percent": return number(v * 100, digits ?? 1, "%");
    case "bytes": {
      let i = 0, x = v;
      while (Math.abs(x) >= 1024 && i < 5) { x /= 1024; i++; }
      return `${number(x, i ? digits ?? 1 : 0)} ${BYTES[i]}`;
    }
    case "duration": return span(v);
    case "time": return clock(v, kind);
    case "date": return moment(v, kind);
    case "flag": return v ? t("yes") : t("no");
  }
  if (kind === "instant" || kind === "local") return moment(v, kind);
  if (kind === "flag" || typeof v === "boolean") return v ? t("yes") : t("no");
  if (typeof v === "object") return JSON.stringify(v);
  return number(v, digits, unit);
}

export function clock(ms, kind, millis) {
  if (ms === null || ms === undefined) return t("none");
  const z = zoneOf(kind);
  const f = once(`c${z}${millis}`, () => new Intl.DateTimeFormat("en-GB", { timeZone: z, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: millis ? 3 : undefined }));
  return f.format(ms);
}

export function day(ms, kind) {
  const z = zoneOf(kind);
  return once(`d${z}${language}`, () => new Intl.DateTimeFormat(language, { timeZone: z, day: "numeric", month: "short", year: "numeric" })).format(ms);
}

export function moment(ms, kind, millis) {
  if (typeof ms !== "number") return ms === null ? t("none") : String(ms);
  return `${day(ms, kind)}, ${clock(ms, kind, millis)}`;
}

// For "data complete until": the day only where it is not today's.
export function shortMoment(ms, kind, now) {
  return Math.abs(now - ms) < 43_200_000 ? clock(ms, kind) : moment(ms, kind);
}

export function span(ms) {
  const a = Math.abs(ms);
  if (a < 1000) return `${number(ms, 0)} ms`;
  if (a < 120_000) return `${number(ms / 1000, a < 10_000 ? 1 : 0)} s`;
  if (a < 7_200_000) return `${number(ms / 60_000, 0)} min`;
  if (a < 172_800_000) return `${number(ms / 3_600_000, 0)} h`;
  return `${number(ms / 86_400_000, 0)} d`;
}

export function ago(ms, now) {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 1) return t("now");
  if (s < 60) return t("secondsAgo", { n: s });
  if (s < 3600) return t("minutesAgo", { n: Math.floor(s / 60) });
  if (s < 86_400) return t("hoursAgo", { n: Math.floor(s / 3600) });
  return t("daysAgo", { n: Math.floor(s / 86_400) });
}

export function axisTimes(splits, kind, step) {
  const z = zoneOf(kind);
  const options = step >= 86_400_000 ? { day: "numeric", month: "short" }
    : step >= 60_000 ? { hour: "2-digit", minute: "2-digit" }
    : step >= 1000 ? { hour: "2-digit", minute: "2-digit", second: "2-digit" }
    : { minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };
  const f = once(`a${z}${JSON.stringify(options)}${language}`, () => new Intl.DateTimeFormat(step >= 86_400_000 ? language : "en-GB", { timeZone: z, ...options }));
  return splits.map((ms) => f.format(ms));
}

const SEVERITIES = {
  critical: ["critical", "▲"], alarm: ["critical", "▲"], error: ["critical", "▲"], high: ["critical", "▲"], fatal: ["critical", "▲"], severe: ["critical", "▲"],
  warning: ["warning", "◆"], warn: ["warning", "◆"], medium: ["warning", "◆"], minor: ["warning", "◆"],
  info: ["info", "●"], low: ["info", "●"], notice: ["info", "●"], ok: ["ok", "●"], normal: ["ok", "●"],
};

export function severity(v) {
  const found = SEVERITIES[String(v).toLowerCase()];
  const word = String(v);
  return { level: found?.[0] ?? "info", shape: found?.[1] ?? "●", word: found && found[0] === word.toLowerCase() ? t(found[0]) : word };
}

export function level(v, limits) {
  if (!limits || typeof v !== "number") return null;
  const beyond = (limit) => limit !== null && (limits.below ? v <= limit : v >= limit);
  if (beyond(limits.alarm)) return { level: "critical", word: t(limits.below ? "alarmLow" : "alarmHigh"), shape: "▲" };
  if (beyond(limits.warn)) return { level: "warning", word: t(limits.below ? "low" : "high"), shape: "◆" };
  return null;
}
