"""What a dashboard shows, read from ``dashboard.yaml``: tiles, then panels on a grid of twelve columns."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError, did_you_mean
from deras.serve.yaml_reader import Place, read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deras.serve.platform import ViewInfo

MARKS = ("line", "area", "bar", "table")
FORMATS = ("number", "integer", "percent", "bytes", "duration", "time", "date", "relative", "severity", "flag", "text")
LANGUAGES = ("auto", "en", "id")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a number becomes a warning and an alarm. ``below``: smaller is worse."""

    warn: float | None = None
    alarm: float | None = None
    below: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """Where rows come from: SQL over the views (DuckDB's dialect), or a view as it is, maybe filtered by equality."""

    sql: str = ""
    view: str = ""
    where: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One number. ``spark``: a small line of its past; ``change``: how it moved over that line."""

    id: str
    title: str
    query: Query
    value: str = ""
    unit: str = ""
    format: str = "number"
    digits: int | None = None
    spark: bool = True
    change: bool = True
    thresholds: Thresholds | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """Columns of the expected range, shaded behind the line, and of the expected value."""

    lower: str
    upper: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """Rows that are marked on the line. ``when``: a BOOLEAN column; ``why``: columns that explain a mark."""

    when: str
    label: str = "anomaly"
    why: tuple[str, ...] = ()
    score: str = ""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table panel."""

    name: str
    title: str = ""
    format: str = ""
    unit: str = ""
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart or a table. ``window`` and ``height`` in ms and CSS pixels; ``width`` in twelfths of the page."""

    id: str
    title: str
    query: Query
    mark: str = "line"
    subtitle: str = ""
    width: int = 6
    height: int = 240
    x: str = ""
    y: tuple[str, ...] = ()
    by: str = ""
    repeat: str = ""
    band: Band | None = None
    marks: Marks | None = None
    unit: str = ""
    format: str = "number"
    digits: int | None = None
    thresholds: Thresholds | None = None
    window: float = 900_000.0
    max_points: int = 4000
    columns: tuple[TableColumn, ...] = ()
    key: tuple[str, ...] = ()
    sort: str = ""
    limit: int = 1000
    notify: bool = False

    @property
    def is_table(self) -> bool:
        """Whether it is a table and no chart."""
        return self.mark == "table"

    def used_columns(self) -> list[str]:
        """Columns that the page needs, in order; empty: all of them."""
        if self.is_table:
            return []
        band = [self.band.lower, self.band.upper, self.band.expected] if self.band else []
        marks = [self.marks.when, self.marks.score, *self.marks.why] if self.marks else []
        return list(dict.fromkeys(c for c in [self.x, *self.y, self.by, self.repeat, *band, *marks] if c))


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A whole page. ``refresh``: the least time between two updates of one panel, ms."""

    name: str
    title: str
    description: str = ""
    refresh: float = 200.0
    language: str = "auto"
    time_zone: str = ""
    tiles: tuple[Tile, ...] = ()
    panels: tuple[Panel, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The definition as the page gets it: without the SQL texts."""
        found = asdict(self)
        for part in (*found["tiles"], *found["panels"]):
            del part["query"]
        return found


# ---- reading

_TOP = ("title", "description", "refresh", "window", "language", "time_zone", "tiles", "panels")
_TILE = ("title", "sql", "view", "where", "value", "unit", "format", "digits", "spark", "change", "thresholds")
_PANEL = (
    "title", "subtitle", "width", "height", "mark", "sql", "view", "where", "x", "y", "by", "repeat", "band", "marks",
    "unit", "format", "digits", "threshold", "thresholds", "window", "max_points", "columns", "key", "sort", "limit",
    "notify",
)  # fmt: skip


def parse_dashboard(text: str, name: str = "main", origin: str = "dashboard.yaml") -> Dashboard:
    """Read a dashboard file.

    Args:
        text: the YAML.
        name: the dashboard's name in its address.
        origin: the file's name, for messages.

    Raises:
        ConfigError: with file, line, key and the nearest right word.
    """
    root = read_yaml(text, origin)
    keys = root.keys(_TOP, required=("title",))
    window = keys["window"].duration() if "window" in keys else 900_000.0
    refresh = keys["refresh"].duration() if "refresh" in keys else 200.0
    if refresh < 20:
        raise keys["refresh"].wrong("refresh is shorter than a screen can show", hint="Use '20 ms' or more.")
    language = keys["language"].choice(LANGUAGES) if "language" in keys else "auto"
    zone = _zone(keys["time_zone"]) if "time_zone" in keys else ""
    tiles = [_tile(p, i) for i, p in enumerate(keys["tiles"].items())] if "tiles" in keys else []
    panels = [_panel(p, i, window) for i, p in enumerate(keys["panels"].items())] if "panels" in keys else []
    if not tiles and not panels:
        raise root.wrong("the dashboard has neither tiles nor panels", hint="Add a list 'panels:' with one entry.")
    return Dashboard(
        name=name,
        title=keys["title"].text(),
        description=keys["description"].text() if "description" in keys else "",
        refresh=refresh,
        language=language,
        time_zone=zone,
        tiles=tuple(tiles),
        panels=tuple(panels),
    )


def _zone(place: Place) -> str:
    import zoneinfo

    name = place.text()
    if name == "viewer":
        return ""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, zoneinfo.available_timezones()) or "Use 'viewer' or a name like 'Asia/Jakarta'."
        raise place.wrong(f"there is no time zone '{name}'", hint=hint) from None
    return name


def _query(place: Place, keys: dict[str, Place]) -> Query:
    if ("sql" in keys) == ("view" in keys):
        raise place.wrong(f"{place.path} needs either 'sql' or 'view'", hint="Give exactly one of the two.")
    where: list[tuple[str, tuple[Any, ...]]] = []
    if "where" in keys:
        if "sql" in keys:
            raise keys["where"].wrong("'where' goes with 'view' only", hint="Write the condition into the SQL.")
        where = [(c, tuple(i.value() for i in v.items())) for c, v in keys["where"].entries().items()]
    if "sql" in keys:
        sql = keys["sql"].text().strip().rstrip(";").strip()
        if not sql:
            raise keys["sql"].wrong("the SQL is empty")
        return Query(sql=sql)
    return Query(view=keys["view"].text(), where=tuple(where))


def _digits(keys: dict[str, Place]) -> int | None:
    return keys["digits"].whole(0, 12) if "digits" in keys else None


def _thresholds(place: Place) -> Thresholds:
    if not place.is_mapping():
        return Thresholds(alarm=place.number())
    keys = place.keys(("warn", "alarm", "direction", "label"))
    if "warn" not in keys and "alarm" not in keys:
        raise place.wrong(f"{place.path} needs 'warn' or 'alarm'")
    below = "direction" in keys and keys["direction"].choice(("above", "below")) == "below"
    return Thresholds(
        warn=keys["warn"].number() if "warn" in keys else None,
        alarm=keys["alarm"].number() if "alarm" in keys else None,
        below=below,
        label=keys["label"].text() if "label" in keys else "",
    )


def _tile(place: Place, i: int) -> Tile:
    keys = place.keys(_TILE, required=("title",))
    return Tile(
        id=f"t{i}",
        title=keys["title"].text(),
        query=_query(place, keys),
        value=keys["value"].text() if "value" in keys else "",
        unit=keys["unit"].text() if "unit" in keys else "",
        format=keys["format"].choice(FORMATS) if "format" in keys else "number",
        digits=_digits(keys),
        spark=keys["spark"].flag() if "spark" in keys else True,
        change=keys["change"].flag() if "change" in keys else True,
        thresholds=_thresholds(keys["thresholds"]) if "thresholds" in keys else None,
    )


def _panel(place: Place, i: int, window: float) -> Panel:
    keys = place.keys(_PANEL, required=("title",))
    mark = keys["mark"].choice(MARKS) if "mark" in keys else "line"
    table = mark == "table"
    if not table:
        for name in ("x", "y"):
            if name not in keys:
                raise place.wrong(
                    f"{place.path} is a {mark} chart and needs '{name}'", hint="Name a column of its rows."
                )
        for name in ("columns", "sort", "limit"):
            if name in keys:
                raise keys[name].wrong(f"'{name}' goes with 'mark: table' only")
    else:
        for name in ("y", "by", "repeat", "band", "marks"):
            if name in keys:
                raise keys[name].wrong(f"'{name}' goes with charts, not with 'mark: table'")
    if "threshold" in keys and "thresholds" in keys:
        raise keys["threshold"].wrong("'threshold' and 'thresholds' mean the same", hint="Keep one of them.")
    limits = keys.get("thresholds") or keys.get("threshold")
    return Panel(
        id=f"p{i}",
        title=keys["title"].text(),
        query=_query(place, keys),
        mark=mark,
        subtitle=keys["subtitle"].text() if "subtitle" in keys else "",
        width=keys["width"].whole(1, 12) if "width" in keys else (12 if table else 6),
        height=keys["height"].whole(80, 2000) if "height" in keys else (320 if table else 240),
        x=keys["x"].text() if "x" in keys else "",
        y=keys["y"].texts() if "y" in keys else (),
        by=keys["by"].text() if "by" in keys else "",
        repeat=keys["repeat"].text() if "repeat" in keys else "",
        band=_band(keys["band"]) if "band" in keys else None,
        marks=_marks(keys["marks"]) if "marks" in keys else None,
        unit=keys["unit"].text() if "unit" in keys else "",
        format=keys["format"].choice(FORMATS) if "format" in keys else "number",
        digits=_digits(keys),
        thresholds=_thresholds(limits) if limits else None,
        window=keys["window"].duration() if "window" in keys else window,
        max_points=keys["max_points"].whole(50, 200_000) if "max_points" in keys else 4000,
        columns=tuple(_column(c) for c in keys["columns"].items()) if "columns" in keys else (),
        key=keys["key"].texts() if "key" in keys else (),
        sort=keys["sort"].text() if "sort" in keys else "",
        limit=keys["limit"].whole(1, 200_000) if "limit" in keys else 1000,
        notify=keys["notify"].flag() if "notify" in keys else False,
    )


def _band(place: Place) -> Band:
    keys = place.keys(("lower", "upper", "expected"), required=("lower", "upper"))
    return Band(keys["lower"].text(), keys["upper"].text(), keys["expected"].text() if "expected" in keys else "")


def _marks(place: Place) -> Marks:
    keys = place.keys(("when", "label", "why", "score"), required=("when",))
    return Marks(
        when=keys["when"].text(),
        label=keys["label"].text() if "label" in keys else "anomaly",
        why=keys["why"].texts() if "why" in keys else (),
        score=keys["score"].text() if "score" in keys else "",
    )


def _column(place: Place) -> TableColumn:
    if not place.is_mapping():
        return TableColumn(place.text())
    keys = place.keys(("name", "title", "format", "unit", "digits"), required=("name",))
    return TableColumn(
        name=keys["name"].text(),
        title=keys["title"].text() if "title" in keys else "",
        format=keys["format"].choice(FORMATS) if "format" in keys else "",
        unit=keys["unit"].text() if "unit" in keys else "",
        digits=_digits(keys),
    )


# ---- a project's dashboards


def default_dashboard(views: Sequence[ViewInfo]) -> Dashboard:
    """A page for a project without a dashboard file: one table a view."""
    panels = tuple(
        Panel(
            id=f"p{i}", title=v.name, subtitle=v.comment, query=Query(view=v.name), mark="table", width=12, height=280
        )
        for i, v in enumerate(views[:24])
    )
    return Dashboard(name="main", title="Views", panels=panels)


class Dashboards:
    """The dashboards of a project: ``dashboard.yaml`` is ``main``, each ``dashboards/<name>.yaml`` is ``<name>``.

    Files are read again when they change, so that an edited page shows at the next load.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._read: dict[str, tuple[tuple[int, int], Dashboard]] = {}

    def _files(self) -> dict[str, Path]:
        if self.folder is None:
            return {}
        files: dict[str, Path] = {}
        first = self.folder / "dashboard.yaml"
        if first.is_file():
            files["main"] = first
        more = self.folder / "dashboards"
        if more.is_dir():
            files |= {p.stem: p for p in sorted(more.glob("*.yaml")) if NAME.fullmatch(p.stem)}
        return files

    def names(self) -> list[str]:
        """The names, ``main`` first."""
        return list(self._files()) or ["main"]

    def get(self, name: str, views: Sequence[ViewInfo] = ()) -> Dashboard | None:
        """A dashboard by name, None if there is none; ``ConfigError`` if its file is wrong."""
        files = self._files()
        path = files.get(name)
        if path is None:
            return default_dashboard(views) if name == "main" and not files else None
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            kept = self._read.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError(f"{path.name} cannot be read", detail=str(e)) from None
        found = parse_dashboard(text, name, path.name)
        self._read[name] = (stamp, found)
        return found
