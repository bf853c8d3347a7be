// Every word of the page. A text is a string with {names}; English is the fallback of all others.

const en = {
  live: "live", "catching up": "catching up", paused: "paused", disconnected: "disconnected", connecting: "connecting",
  starting: "starting", finished: "finished", failed: "failed", stale: "no change since {time}",
  eventsPerSecond: "events/s", delay: "delay", delayHelp: "From arrival to this screen: half of the events are faster than the first figure, 99 of 100 faster than the second",
  complete: "data complete until {time}", completeHelp: "The watermark: no earlier event is expected any more",
  pause: "Pause", resume: "Resume", pauseKey: "Pause (space)", theme: "Light or dark", help: "Help", keys: "Keys", close: "Close",
  back: "Back to live", newChanges: "{n} new", timesIn: "Times: {zone}", asRecorded: "as recorded",
  keySpace: "pause and go on", keyArrows: "step back and forth by one window", keySlash: "find in tables", keyHelp: "this help", keyEsc: "close, back to live",
  mouseDrag: "drag on a chart: zoom in", mouseDouble: "double-click: back to live", mouseClick: "click on a mark: why it is there",
  noRows: "No rows yet", noRowsSource: "The source {source} has received {n} records since {time}.", postOne: "Post one with:", copy: "Copy", copied: "Copied",
  noRowsWindow: "Nothing in this window", noMatch: "No row matches “{text}”",
  lost: "Connection lost {seconds} s ago. The picture stays; trying again …", restored: "Connected again; the gap is filled.",
  errorTitle: "This panel cannot be shown", pageError: "This page cannot be shown", retrying: "It is tried again by itself.",
  refused: "An access token is needed", refusedHint: "Open the link that the server printed, or enter the token.", token: "Access token", open: "Open",
  asTable: "Show as table", asChart: "Show as chart", picture: "Save picture (PNG)", csv: "Save data (CSV)", copyCsv: "Copy as CSV", copyJson: "Copy as JSON", more: "More for {title}",
  find: "Find", findIn: "Find in {title}", rows: "{n} rows", row: "1 row", details: "Details", newest: "newest first",
  anomaly: "anomaly", anomalies: "{n} anomalies", oneAnomaly: "1 anomaly", why: "Why is this marked?", value: "value", expected: "expected", range: "expected range",
  score: "score", time: "time", away: "{n} above what was expected", awayBelow: "{n} below what was expected", around: "Rows around it", earlier: "Earlier", later: "Later", link: "Copy link to this moment",
  announce: "{label}: {title}, {value} at {time}", announceRow: "New in {title}: {text}", correction: "corrected",
  summary: "{kind} chart with {n} lines over {span}. {lines}", summaryLine: "{name}: latest {last}, from {min} to {max}.", line: "line", area: "area", bar: "bar",
  high: "high", low: "low", alarmHigh: "too high", alarmLow: "too low", since: "in {span}",
  now: "now", secondsAgo: "{n} s ago", minutesAgo: "{n} min ago", hoursAgo: "{n} h ago", daysAgo: "{n} d ago",
  yes: "yes", no: "no", critical: "critical", warning: "warning", info: "info", ok: "ok", dashboards: "Dashboards", skip: "Skip to the panels", none: "–",
};

const id = {
  live: "langsung", "catching up": "mengejar", paused: "dijeda", disconnected: "terputus", connecting: "menghubungkan",
  starting: "memulai", finished: "selesai", failed: "gagal", stale: "tidak berubah sejak {time}",
  eventsPerSecond: "peristiwa/dtk", delay: "jeda", delayHelp: "Dari kedatangan sampai layar ini: separuh peristiwa lebih cepat dari angka pertama, 99 dari 100 lebih cepat dari angka kedua",
  complete: "data lengkap sampai {time}", completeHelp: "Watermark: tidak ada lagi peristiwa yang lebih awal",
  pause: "Jeda", resume: "Lanjut", pauseKey: "Jeda (spasi)", theme: "Terang atau gelap", help: "Bantuan", keys: "Tombol", close: "Tutup",
  back: "Kembali langsung", newChanges: "{n} baru", timesIn: "Waktu: {zone}", asRecorded: "seperti tercatat",
  keySpace: "jeda dan lanjut", keyArrows: "mundur dan maju satu jendela", keySlash: "cari di tabel", keyHelp: "bantuan ini", keyEsc: "tutup, kembali langsung",
  mouseDrag: "seret pada grafik: perbesar", mouseDouble: "klik ganda: kembali langsung", mouseClick: "klik tanda: alasannya",
  noRows: "Belum ada baris", noRowsSource: "Sumber {source} telah menerima {n} rekaman sejak {time}.", postOne: "Kirim satu dengan:", copy: "Salin", copied: "Tersalin",
  noRowsWindow: "Tidak ada apa pun di jendela ini", noMatch: "Tidak ada baris yang cocok dengan “{text}”",
  lost: "Sambungan terputus {seconds} dtk lalu. Gambar tetap; mencoba lagi …", restored: "Tersambung lagi; celahnya terisi.",
  errorTitle: "Panel ini tidak dapat ditampilkan", pageError: "Halaman ini tidak dapat ditampilkan", retrying: "Dicoba lagi dengan sendirinya.",
  refused: "Diperlukan token akses", refusedHint: "Buka tautan yang dicetak server, atau masukkan tokennya.", token: "Token akses", open: "Buka",
  asTable: "Tampilkan sebagai tabel", asChart: "Tampilkan sebagai grafik", picture: "Simpan gambar (PNG)", csv: "Simpan data (CSV)", copyCsv: "Salin sebagai CSV", copyJson: "Salin sebagai JSON", more: "Lainnya untuk {title}",
  find: "Cari", findIn: "Cari di {title}", rows: "{n} baris", row: "1 baris", details: "Rincian", newest: "terbaru dulu",
  anomaly: "anomali", anomalies: "{n} anomali", oneAnomaly: "1 anomali", why: "Mengapa ini ditandai?", value: "nilai", expected: "perkiraan", range: "rentang perkiraan",
  score: "skor", time: "waktu", away: "{n} di atas perkiraan", awayBelow: "{n} di bawah perkiraan", around: "Baris di sekitarnya", earlier: "Sebelumnya", later: "Berikutnya", link: "Salin tautan ke saat ini",
  announce: "{label}: {title}, {value} pada {time}", announceRow: "Baru di {title}: {text}", correction: "dikoreksi",
  summary: "Grafik {kind} dengan {n} garis selama {span}. {lines}", summaryLine: "{name}: terakhir {last}, dari {min} sampai {max}.", line: "garis", area: "area", bar: "batang",
  high: "tinggi", low: "rendah", alarmHigh: "terlalu tinggi", alarmLow: "terlalu rendah", since: "dalam {span}",
  now: "kini", secondsAgo: "{n} dtk lalu", minutesAgo: "{n} mnt lalu", hoursAgo: "{n} jam lalu", daysAgo: "{n} hr lalu",
  yes: "ya", no: "tidak", critical: "kritis", warning: "peringatan", info: "info", ok: "baik", dashboards: "Dasbor", skip: "Lewati ke panel", none: "–",
};

const languages = { en, id };
let words = en;
export let language = "en";

export function useLanguage(wanted) {
  const browser = (navigator.language || "en").slice(0, 2);
  language = languages[wanted] ? wanted : languages[browser] ? browser : "en";
  words = languages[language];
  document.documentElement.lang = language;
}

export function t(key, values) {
  const text = words[key] ?? en[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "") : text;
}
