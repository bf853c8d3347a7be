"""The statements of Flink SQL as nodes; queries and expressions are in modules of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.nodes import DataType, Identifier, Node, ObjectName, Property

if TYPE_CHECKING:
    from deras.sql.syntax.expressions import Expr
    from deras.sql.syntax.queries import Query

ObjectKind = Literal["TABLE", "VIEW", "MATERIALIZED VIEW", "FUNCTION", "CATALOG", "DATABASE", "MODEL", "CONNECTION"]


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """The base of statements; ``span`` leaves out the closing semicolon."""


# ---------------------------------------------------------------- CREATE


@dataclass(frozen=True, slots=True)
class ColumnDef(Node):
    """The base of the three kinds of columns."""


@dataclass(frozen=True, slots=True)
class PhysicalColumn(ColumnDef):
    """``name type [PRIMARY KEY NOT ENFORCED] [COMMENT '…']``."""

    name: Identifier
    type: DataType
    primary_key: bool = False
    enforced: bool | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class MetadataColumn(ColumnDef):
    """``name type METADATA [FROM 'key'] [VIRTUAL] [COMMENT '…']``."""

    name: Identifier
    type: DataType
    key: str | None = None
    virtual: bool = False
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ComputedColumn(ColumnDef):
    """``name AS expr [COMMENT '…']``."""

    name: Identifier
    expr: Expr
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class NamedColumn(ColumnDef):
    """A bare column name: ``CREATE TABLE t (a, b) AS query`` reorders the query's columns."""

    name: Identifier


@dataclass(frozen=True, slots=True)
class Watermark(Node):
    """``WATERMARK FOR column AS expr``; the column may be a field of a ROW."""

    column: tuple[Identifier, ...]
    expr: Expr


@dataclass(frozen=True, slots=True)
class PrimaryKey(Node):
    """``[CONSTRAINT name] PRIMARY KEY (columns) [NOT] ENFORCED``; ``enforced`` None when not written
    (``unique``: UNIQUE).
    """

    columns: tuple[Identifier, ...]
    enforced: bool | None = None
    constraint: Identifier | None = None
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Distribution(Node):
    """``DISTRIBUTED [BY [HASH|RANGE](columns)] [INTO n BUCKETS]``."""

    kind: Literal["HASH", "RANGE"] | None = None
    columns: tuple[Identifier, ...] = ()
    buckets: int | None = None


@dataclass(frozen=True, slots=True)
class LikeOption(Node):
    """``INCLUDING|EXCLUDING|OVERWRITING`` what: ALL, CONSTRAINTS, DISTRIBUTION, GENERATED, METADATA, OPTIONS,
    PARTITIONS, WATERMARKS.
    """

    merge: Literal["INCLUDING", "EXCLUDING", "OVERWRITING"]
    feature: str


@dataclass(frozen=True, slots=True)
class LikeClause(Node):
    """``LIKE source [(options)]``."""

    source: ObjectName
    options: tuple[LikeOption, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateTable(Statement):
    """``CREATE [OR REPLACE] [TEMPORARY] TABLE``; ``query`` for the AS form."""

    name: ObjectName
    columns: tuple[ColumnDef, ...] = ()
    watermarks: tuple[Watermark, ...] = ()
    constraints: tuple[PrimaryKey, ...] = ()
    comment: str | None = None
    distribution: Distribution | None = None
    partitioned_by: tuple[Identifier, ...] = ()
    options: tuple[Property, ...] = ()
    like: LikeClause | None = None
    query: Query | None = None
    temporary: bool = False
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateView(Statement):
    """``CREATE [TEMPORARY] VIEW [IF NOT EXISTS] name [(columns)] [COMMENT] AS query``."""

    name: ObjectName
    query: Query
    columns: tuple[Identifier, ...] = ()
    comment: str | None = None
    temporary: bool = False
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateMaterializedView(Statement):
    """``CREATE [OR REPLACE] MATERIALIZED VIEW``: our own addition, a view kept up to date and queryable."""

    name: ObjectName
    query: Query
    columns: tuple[Identifier, ...] = ()
    primary_key: PrimaryKey | None = None
    comment: str | None = None
    options: tuple[Property, ...] = ()
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateFunction(Statement):
    """``CREATE [TEMPORARY [SYSTEM]] FUNCTION name AS 'identifier' [LANGUAGE …] [USING JAR|FILE|ARCHIVE '…', …]
    [WITH (…)]``.
    """

    name: ObjectName
    identifier: str
    language: Literal["JAVA", "SCALA", "PYTHON"] | None = None
    resources: tuple[tuple[str, str], ...] = ()  # (kind, path)
    options: tuple[Property, ...] = ()
    temporary: bool = False
    system: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateCatalog(Statement):
    """``CREATE CATALOG [IF NOT EXISTS] name [COMMENT] [WITH (…)]``."""

    name: Identifier
    options: tuple[Property, ...] = ()
    comment: str | None = None
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateDatabase(Statement):
    """``CREATE DATABASE [IF NOT EXISTS] [catalog.]name [COMMENT] [WITH (…)]``."""

    name: ObjectName
    options: tuple[Property, ...] = ()
    comment: str | None = None
    if_not_exists: bool = False


# ---------------------------------------------------------------- DROP, ALTER


@dataclass(frozen=True, slots=True)
class Drop(Statement):
    """``DROP [TEMPORARY [SYSTEM]] kind [IF EXISTS] name [RESTRICT|CASCADE]``."""

    kind: ObjectKind
    name: ObjectName
    if_exists: bool = False
    temporary: bool = False
    system: bool = False
    cascade: bool | None = None


@dataclass(frozen=True, slots=True)
class AlterAction(Node):
    """The base of what ALTER can do."""


@dataclass(frozen=True, slots=True)
class RenameTo(AlterAction):
    """``RENAME TO name`` (table, view)."""

    name: ObjectName


@dataclass(frozen=True, slots=True)
class SetOptions(AlterAction):
    """``SET ('k' = 'v', …)``."""

    options: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class ResetOptions(AlterAction):
    """``RESET ('k', …)``."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetComment(AlterAction):
    """``COMMENT '…'`` (catalog)."""

    comment: str


@dataclass(frozen=True, slots=True)
class SetQuery(AlterAction):
    """``AS query`` (view)."""

    query: Query


@dataclass(frozen=True, slots=True)
class ColumnChange(Node):
    """A column in ADD or MODIFY with its place: ``FIRST``, ``AFTER name`` or the end."""

    column: ColumnDef
    first: bool = False
    after: Identifier | None = None


@dataclass(frozen=True, slots=True)
class ChangeColumns(AlterAction):
    """``ADD …`` or ``MODIFY …`` with columns, constraints, watermark, distribution."""

    action: Literal["ADD", "MODIFY"]
    columns: tuple[ColumnChange, ...] = ()
    constraints: tuple[PrimaryKey, ...] = ()
    watermarks: tuple[Watermark, ...] = ()
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True)
class RenameColumn(AlterAction):
    """``RENAME a TO b``."""

    old: Identifier
    new: Identifier


@dataclass(frozen=True, slots=True)
class DropParts(AlterAction):
    """``DROP`` of columns, or of ``what``: PRIMARY KEY, CONSTRAINT (with the name in columns), WATERMARK,
    DISTRIBUTION.
    """

    what: Literal["COLUMNS", "PRIMARY KEY", "CONSTRAINT", "WATERMARK", "DISTRIBUTION"]
    columns: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionSpec(Node):
    """``PARTITION (a = 1, b)``; a value None was not given."""

    items: tuple[tuple[Identifier, Expr | None], ...]


@dataclass(frozen=True, slots=True)
class ChangePartitions(AlterAction):
    """``ADD [IF NOT EXISTS] PARTITION (…) [WITH (…)] …`` or ``DROP [IF EXISTS] PARTITION (…), …``."""

    action: Literal["ADD", "DROP"]
    partitions: tuple[PartitionSpec, ...]
    options: tuple[tuple[Property, ...], ...] = ()  # one per partition of ADD
    lenient: bool = False  # IF [NOT] EXISTS


@dataclass(frozen=True, slots=True)
class SetFunction(AlterAction):
    """``AS 'identifier' [LANGUAGE …]`` (function)."""

    identifier: str
    language: Literal["JAVA", "SCALA", "PYTHON"] | None = None


@dataclass(frozen=True, slots=True)
class Alter(Statement):
    """``ALTER kind [IF EXISTS] name action``."""

    kind: ObjectKind
    name: ObjectName
    action: AlterAction
    if_exists: bool = False
    temporary: bool = False
    system: bool = False


# ---------------------------------------------------------------- queries and changes of rows


@dataclass(frozen=True, slots=True)
class QueryStatement(Statement):
    """A query by itself."""

    query: Query


@dataclass(frozen=True, slots=True)
class Insert(Statement):
    """``INSERT INTO|OVERWRITE table [PARTITION (…)] [(columns)] query``; ``options`` from a hint behind the table."""

    table: ObjectName
    query: Query
    columns: tuple[tuple[Identifier, ...], ...] = ()  # a column may be a field path
    partition: PartitionSpec | None = None
    overwrite: bool = False
    options: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementSet(Statement):
    """``BEGIN STATEMENT SET; …; END`` or (``execute``) ``EXECUTE STATEMENT SET BEGIN …; END``: one job."""

    statements: tuple[Insert, ...]
    execute: bool = False


@dataclass(frozen=True, slots=True)
class Execute(Statement):
    """``EXECUTE statement``."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Explain(Statement):
    """``EXPLAIN [PLAN FOR | details] statement``; details: ESTIMATED_COST, CHANGELOG_MODE, JSON_EXECUTION_PLAN,
    PLAN_ADVICE.
    """

    statement: Statement
    details: tuple[str, ...] = ()
    plan_for: bool = False


@dataclass(frozen=True, slots=True)
class Delete(Statement):
    """``DELETE FROM t [WHERE …]``: parsed so that it can be refused with reason."""

    table: ObjectName
    where: Expr | None = None
    alias: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Update(Statement):
    """``UPDATE t SET a = x, … [WHERE …]``: parsed so that it can be refused with reason."""

    table: ObjectName
    assignments: tuple[tuple[Identifier, Expr], ...]
    where: Expr | None = None
    alias: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Truncate(Statement):
    """``TRUNCATE TABLE t``."""

    table: ObjectName


@dataclass(frozen=True, slots=True)
class Analyze(Statement):
    """``ANALYZE TABLE t [PARTITION (…)] COMPUTE STATISTICS [FOR ALL COLUMNS | FOR COLUMNS a, b]``."""

    table: ObjectName
    partition: PartitionSpec | None = None
    columns: tuple[Identifier, ...] = ()
    all_columns: bool = False


# ---------------------------------------------------------------- session


@dataclass(frozen=True, slots=True)
class Describe(Statement):
    """``DESCRIBE|DESC [TABLE] [EXTENDED] name``; also CATALOG, DATABASE, FUNCTION, JOB ('id' is then in ``job``)."""

    kind: Literal["TABLE", "CATALOG", "DATABASE", "FUNCTION", "MODEL", "JOB"]
    name: ObjectName | None
    extended: bool = False
    job: str | None = None


@dataclass(frozen=True, slots=True)
class ShowLike(Node):
    """``[NOT] LIKE|ILIKE 'pattern'``."""

    pattern: str
    negated: bool = False
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Show(Statement):
    """``SHOW what``.

    ``what``: TABLES, VIEWS, MATERIALIZED VIEWS, FUNCTIONS, USER FUNCTIONS, CATALOGS, CURRENT CATALOG, DATABASES,
    CURRENT DATABASE, COLUMNS, CREATE TABLE, CREATE VIEW, CREATE MATERIALIZED VIEW, CREATE CATALOG, PARTITIONS,
    MODULES, FULL MODULES, JARS, JOBS, PROCEDURES, MODELS. ``name`` is the object (columns, create, partitions) or
    the FROM/IN database.
    """

    what: str
    name: ObjectName | None = None
    like: ShowLike | None = None
    partition: PartitionSpec | None = None


@dataclass(frozen=True, slots=True)
class SetOption(Statement):
    """``SET 'key' = 'value'``; without both it lists all settings."""

    option: Property | None = None


@dataclass(frozen=True, slots=True)
class ResetOption(Statement):
    """``RESET ['key']``; None resets all."""

    key: str | None = None


@dataclass(frozen=True, slots=True)
class Use(Statement):
    """``USE CATALOG c``, ``USE [DATABASE] d`` or ``USE MODULES a, b``."""

    kind: Literal["CATALOG", "DATABASE", "MODULES"]
    names: tuple[ObjectName, ...]


@dataclass(frozen=True, slots=True)
class Module(Statement):
    """``LOAD MODULE m [WITH (…)]`` or ``UNLOAD MODULE m``."""

    action: Literal["LOAD", "UNLOAD"]
    name: Identifier
    options: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Jar(Statement):
    """``ADD JAR '…'`` or ``REMOVE JAR '…'``: parsed so that it can be refused with reason."""

    action: Literal["ADD", "REMOVE"]
    path: str


@dataclass(frozen=True, slots=True)
class StopJob(Statement):
    """``STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]``."""

    job: str
    savepoint: bool = False
    drain: bool = False
