// Rows of a chart by line, ordered by x; rows of a table by key. No drawing here.

export class LineStore {
  constructor(panel) {
    this.panel = panel;
    this.columns = [];
    this.at = {};
    this.lines = new Map();
    this.kinds = {};
    this.keyAt = null;
    this.places = null;
    this.count = 0;
  }

  get xKind() { return this.kinds[this.panel.x]; }
  get timed() { return this.xKind === "instant" || this.xKind === "local"; }

  set(columns, data, key) {
    this.columns = columns;
    this.at = Object.fromEntries(columns.map((c, i) => [c.name, i]));
    this.kinds = Object.fromEntries(columns.map((c) => [c.name, c.kind]));
    this.lines = new Map();
    this.count = 0;
    this.keyAt = key ? key.map((k) => this.at[k]) : null;
    const natural = new Set([this.panel.x, this.panel.by, this.panel.repeat]);
    this.places = key && key.some((k) => !natural.has(k)) ? new Map() : null;
    return this.put(data, true);
  }

  lineName(row) {
    const parts = [];
    if (this.panel.repeat) parts.push(row[this.at[this.panel.repeat]]);
    if (this.panel.by) parts.push(row[this.at[this.panel.by]]);
    return parts.length ? parts.map(String).join(" · ") : "";
  }

  // Gives the rows that are marked and new.
  put(data, first) {
    const n = data.length ? data[0].length : 0;
    const x = this.at[this.panel.x];
    const when = this.panel.marks ? this.at[this.panel.marks.when] : -1;
    const fresh = [];
    for (let i = 0; i < n; i++) {
      const row = data.map((c) => c[i]);
      if (row[x] === null) continue;
      if (this.places) this.remove(this.keyAt.map((k) => row[k]));
      const name = this.lineName(row);
      let line = this.lines.get(name);
      if (!line) this.lines.set(name, (line = { name, x: [], rows: [] }));
      this.insert(line, row[x], row);
      if (this.places) this.places.set(JSON.stringify(this.keyAt.map((k) => row[k])), [name, row[x]]);
      if (!first && when >= 0 && row[when] === true) fresh.push(row);
    }
    this.trim();
    return fresh;
  }

  insert(line, x, row) {
    const last = line.x.length - 1;
    if (last < 0 || (this.timed ? x > line.x[last] : !line.x.includes(x))) {
      line.x.push(x);
      line.rows.push(row);
      this.count++;
      return;
    }
    const i = this.timed ? lowerBound(line.x, x) : line.x.indexOf(x);
    if (line.x[i] === x && (this.keyAt || !this.timed)) {
      line.rows[i] = row;
      return;
    }
    if (line.x[i] === x && !this.keyAt && i <= last) {
      let j = i;
      while (j <= last && line.x[j] === x) j++;
      line.x.splice(j, 0, x);
      line.rows.splice(j, 0, row);
    } else {
      line.x.splice(i, 0, x);
      line.rows.splice(i, 0, row);
    }
    this.count++;
  }

  remove(key) {
    let name, x;
    if (this.places) {
      const text = JSON.stringify(key);
      const place = this.places.get(text);
      if (!place) return;
      this.places.delete(text);
      [name, x] = place;
    } else {
      const row = [];
      this.keyAt.forEach((k, i) => (row[k] = key[i]));
      name = this.lineName(row);
      x = row[this.at[this.panel.x]];
    }
    const line = this.lines.get(name);
    if (!line) return;
    const i = this.timed ? lowerBound(line.x, x) : line.x.indexOf(x);
    if (i >= 0 && line.x[i] === x) {
      line.x.splice(i, 1);
      line.rows.splice(i, 1);
      this.count--;
      if (!line.x.length) this.lines.delete(name);
    }
  }

  // Old points leave in pieces, so that arrays are not shifted for each of them.
  trim() {
    if (!this.timed) return;
    const low = this.last() - this.panel.window * 1.5;
    for (const [name, line] of this.lines) {
      const over = line.x.length - this.panel.max_points * 2;
      let cut = over > 0 ? over + (this.panel.max_points >> 1) : 0;
      if (line.x[0] < low) cut = Math.max(cut, lowerBound(line.x, low + this.panel.window * 0.25));
      if (!cut) continue;
      line.x.splice(0, cut);
      const gone = line.rows.splice(0, cut);
      this.count -= cut;
      if (this.places) for (const row of gone) this.places.delete(JSON.stringify(this.keyAt.map((k) => row[k])));
      if (!line.x.length) this.lines.delete(name);
    }
  }

  last() {
    let last = -Infinity;
    for (const line of this.lines.values()) if (line.x.length) last = Math.max(last, line.x[line.x.length - 1]);
    return last;
  }

  marks(names) {
    const when = this.panel.marks ? this.at[this.panel.marks.when] : -1;
    if (when < 0) return [];
    const found = [];
    for (const [name, line] of this.lines) {
      if (names && !names.includes(name)) continue;
      for (let i = 0; i < line.rows.length; i++) if (line.rows[i][when] === true) found.push({ line, i, x: line.x[i], row: line.rows[i] });
    }
    return found.sort((a, b) => a.x - b.x);
  }
}

export function lowerBound(xs, x) {
  let a = 0, b = xs.length;
  while (a < b) {
    const m = (a + b) >> 1;
    if (xs[m] < x) a = m + 1;
    else b = m;
  }
  return a;
}

export class RowStore {
  constructor(panel) {
    this.panel = panel;
    this.columns = [];
    this.rows = [];
    this.byKey = new Map();
    this.changed = new Map();
  }

  set(columns, data, key, order) {
    const before = this.byKey;
    this.columns = columns;
    this.at = Object.fromEntries(columns.map((c, i) => [c.name, i]));
    this.keyAt = key ? key.map((k) => this.at[k]) : null;
    this.byKey = new Map();
    this.rows = [];
    this.order = order;
    this.sortAt = this.panel.sort ? this.at[this.panel.sort] : -1;
    const n = data.length ? data[0].length : 0;
    for (let i = 0; i < n; i++) this.one(data.map((c) => c[i]), true);
    if (this.keyAt && before.size) {
      const now = performance.now();
      for (const [k, row] of this.byKey) {
        const old = before.get(k);
        if (old && JSON.stringify(old) !== JSON.stringify(row)) this.changed.set(row, now);
      }
    }
    this.arrange();
    return [];
  }

  one(row, first) {
    const key = this.keyAt ? JSON.stringify(this.keyAt.map((k) => row[k])) : null;
    const old = key === null ? undefined : this.byKey.get(key);
    if (old) {
      this.rows[this.rows.indexOf(old)] = row;
      this.changed.set(row, performance.now());
    } else {
      this.rows.push(row);
      if (!first) this.changed.set(row, performance.now());
    }
    if (key !== null) this.byKey.set(key, row);
    return !old;
  }

  put(data) {
    const n = data.length ? data[0].length : 0;
    const fresh = [];
    for (let i = 0; i < n; i++) {
      const row = data.map((c) => c[i]);
      if (this.one(row)) fresh.push(row);
    }
    this.arrange();
    return fresh;
  }

  remove(key) {
    const text = JSON.stringify(key);
    const row = this.byKey.get(text);
    if (!row) return;
    this.byKey.delete(text);
    this.rows.splice(this.rows.indexOf(row), 1);
  }

  // Ascending here, shown from the end: the newest stands on top. SQL's own order is shown as it came.
  arrange() {
    if (this.sortAt >= 0) {
      const at = this.sortAt;
      const less = (a, b) => (a[at] < b[at] ? -1 : a[at] > b[at] ? 1 : 0);
      let sorted = true;
      for (let i = 1; i < this.rows.length && sorted; i++) sorted = less(this.rows[i - 1], this.rows[i]) <= 0;
      if (!sorted) this.rows.sort(less);
    }
    const over = this.rows.length - this.panel.limit;
    if (over > this.panel.limit * 0.1 && this.newestFirst) {
      for (const row of this.rows.splice(0, over)) if (this.keyAt) this.byKey.delete(JSON.stringify(this.keyAt.map((k) => row[k])));
    }
    if (this.changed.size > 200) {
      const old = performance.now() - 2000;
      for (const [row, when] of this.changed) if (when < old) this.changed.delete(row);
    }
  }

  get newestFirst() { return this.order !== "given" || this.sortAt >= 0; }

  shown(text) {
    let rows = this.newestFirst ? this.rows.toReversed() : this.rows;
    if (text) {
      const wanted = text.toLowerCase();
      rows = rows.filter((r) => r.some((v) => v !== null && String(typeof v === "object" ? JSON.stringify(v) : v).toLowerCase().includes(wanted)));
    }
    return rows;
  }
}
