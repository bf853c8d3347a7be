# What Flink refuses, and what it takes though one may doubt it.

ddl
CREATE TABLE t (id INT, name STRING, ts TIMESTAMP(3), v DOUBLE, WATERMARK FOR ts AS ts);
CREATE TABLE plain (id INT, ts TIMESTAMP(3))

input t
1, a, 2024-01-01 00:00:00, 1.5
2, b, 2024-01-01 00:00:01, 2.5

input plain
1, 2024-01-01 00:00:00

query a comma too much
SELECT id, name, FROM t

query a reserved word as alias
SELECT id AS value FROM t

query a reserved word as alias without AS
SELECT id value FROM t

query alias date
SELECT id AS date FROM t

query alias timestamp
SELECT id AS timestamp FROM t

query alias year
SELECT id AS year FROM t

query alias day
SELECT id AS day FROM t

query alias minute
SELECT id AS minute FROM t

query alias user
SELECT id AS user FROM t

query alias count
SELECT id AS count FROM t

query alias start
SELECT id AS start FROM t

query alias end
SELECT id AS end FROM t

query alias key
SELECT id AS key FROM t

query alias type
SELECT id AS type FROM t

query alias level
SELECT id AS level FROM t

query alias data
SELECT id AS data FROM t

query alias status
SELECT id AS status FROM t

query alias result
SELECT id AS result FROM t

query alias prev
SELECT id AS prev FROM t

query alias position
SELECT id AS position FROM t

query alias method
SELECT id AS method FROM t

query alias language
SELECT id AS language FROM t

query alias temperature, sensor, avg
SELECT id AS temperature, id AS sensor FROM t

query alias avg
SELECT id AS avg FROM t

query alias min
SELECT id AS min FROM t

query alias window
SELECT id AS window FROM t

query alias row
SELECT id AS row FROM t

query alias rank
SELECT id AS rank FROM t

query alias time
SELECT id AS time FROM t

query alias hour
SELECT id AS hour FROM t

query alias total
SELECT id AS total FROM t

query alias source
SELECT id AS source FROM t

query alias name, id, comment
SELECT id AS comment FROM t

query alias first
SELECT id AS first FROM t

query alias last
SELECT id AS last FROM t

query alias interval
SELECT id AS interval FROM t

query alias model
SELECT id AS model FROM t

query alias measure
SELECT id AS measure FROM t

query alias match
SELECT id AS match FROM t

query alias zone
SELECT id AS zone FROM t

query alias system
SELECT id AS system FROM t

query alias uuid
SELECT id AS uuid FROM t

query alias variant
SELECT id AS variant FROM t

query alias bytes
SELECT id AS bytes FROM t

query alias string
SELECT id AS string FROM t

query alias statement
SELECT id AS statement FROM t

query alias tables
SELECT id AS tables FROM t

query alias percent
SELECT id AS percent FROM t

query alias ordinal
SELECT id AS ordinal FROM t

query alias qualify
SELECT id AS qualify FROM t

query not equal as !=
# differs: more is taken
SELECT id FROM t WHERE id != 1

query equal as ==
SELECT id FROM t WHERE id == 1

query an unknown column
SELECT nope FROM t

query an unknown table
SELECT * FROM nope

query an unknown function
SELECT NOPE(id) FROM t

query a wrong number of arguments
SELECT UPPER(name, name) FROM t

query a text where a number must be
SELECT ABS(name) FROM t

query a number and a text
SELECT id + name FROM t

query compare a number and a text
SELECT id FROM t WHERE id = name

query compare a number and a text's literal
SELECT id FROM t WHERE id = '1'

query an integer as condition
SELECT id FROM t WHERE id

query a column not grouped
SELECT id, COUNT(*) FROM t GROUP BY name

query an aggregate in WHERE
SELECT id FROM t WHERE COUNT(*) > 1

query an aggregate of an aggregate directly
SELECT SUM(COUNT(*)) FROM t GROUP BY id

query having without groups
SELECT id FROM t HAVING id > 1

query alias in WHERE
SELECT id AS i FROM t WHERE i > 1

query ambiguous column
SELECT id FROM t, plain

query duplicate names
SELECT id, id FROM t

query duplicate names in a subquery
# differs: more is taken
SELECT * FROM (SELECT id, id FROM t)

query duplicate names in a subquery, asked for
# differs: more is taken
SELECT id FROM (SELECT id, id FROM t)

query a window over no time attribute
SELECT window_start, COUNT(*) FROM TUMBLE(TABLE plain, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query a window over an unknown column
SELECT window_start, COUNT(*) FROM TUMBLE(TABLE t, DESCRIPTOR(nope), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query a window with a size of months
SELECT window_start, COUNT(*) FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MONTH) GROUP BY window_start, window_end

query a window of size zero
SELECT window_start, COUNT(*) FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '0' MINUTE) GROUP BY window_start, window_end

query a window with a number as size
SELECT window_start, COUNT(*) FROM TUMBLE(TABLE t, DESCRIPTOR(ts), 10) GROUP BY window_start, window_end

query legacy window over no time attribute
SELECT COUNT(*) FROM plain GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)

query legacy TUMBLE_START of another window
SELECT TUMBLE_START(ts, INTERVAL '2' MINUTE) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)

query TUMBLE outside GROUP BY
SELECT TUMBLE(ts, INTERVAL '1' MINUTE) FROM t

query order by no time
SELECT id FROM t ORDER BY id

query union all with other types
SELECT id FROM t UNION ALL SELECT name FROM t

query CASE with other types
SELECT CASE WHEN id = 1 THEN 'a' ELSE 1 END FROM t

query double quotes
SELECT "id" FROM t

query square brackets
SELECT [id] FROM t

query cast with ::
SELECT id::STRING FROM t

query ILIKE
SELECT id FROM t WHERE name ILIKE 'A'

query RLIKE
SELECT id FROM t WHERE name RLIKE 'a'

query regular expression operator
SELECT id FROM t WHERE name ~ 'a'

query concatenation with +
SELECT name + 'x' FROM t

query LIMIT with two numbers
SELECT id FROM t LIMIT 1, 2

query TOP
SELECT TOP 1 id FROM t

query SELECT without FROM but with WHERE
SELECT 1 WHERE 1 = 1

query SELECT nothing
SELECT FROM t

query star and column
SELECT *, id AS i FROM t

query star EXCEPT
SELECT * EXCEPT (id) FROM t

query QUALIFY
SELECT id FROM t QUALIFY id = 1

query GROUP BY ALL
SELECT id, COUNT(*) FROM t GROUP BY ALL

query alias of a table without AS
SELECT x.id FROM t x

query INNER JOIN without condition
SELECT t.id FROM t JOIN plain

query COUNT without star
SELECT COUNT() FROM t

query nested comments
SELECT /* a /* b */ id FROM t

query a line comment with two slashes
SELECT id FROM t // x

query a hash comment
SELECT id FROM t # x

query a text in double dashes
SELECT '--' AS a FROM t

query exponent with dot
SELECT 1.E5 FROM t

query number then letters
# differs: numbers before names
SELECT 1abc FROM t

query date arithmetic with a number
SELECT DATE '2024-01-01' + 1 FROM t

query interval of a column
SELECT ts + INTERVAL id DAY FROM t

query interval without quotes
SELECT ts + INTERVAL 1 DAY FROM t

query TIMESTAMP without precision in a cast
SELECT CAST(name AS TIMESTAMP) FROM t WHERE FALSE

query TIMESTAMP WITH LOCAL TIME ZONE in a cast
SELECT CAST(ts AS TIMESTAMP(3) WITH LOCAL TIME ZONE) AS z FROM t

query TIMESTAMP WITH TIME ZONE in a cast
SELECT CAST(ts AS TIMESTAMP(3) WITH TIME ZONE) AS z FROM t

query BYTES in a cast
SELECT CAST(name AS BYTES) AS z FROM t

query IN of other types
SELECT id FROM t WHERE id IN ('a', 'b')

query BETWEEN of other types
SELECT id FROM t WHERE name BETWEEN 1 AND 2

query LIKE of a number
SELECT id FROM t WHERE id LIKE '1%'

query IS TRUE of a number
SELECT id IS TRUE FROM t

query EXTRACT from a text
SELECT EXTRACT(YEAR FROM name) FROM t

query sum of a text
SELECT SUM(name) FROM t

query avg of a time
SELECT AVG(ts) FROM t

query max of a map
SELECT MAX(MAP['a', id]) FROM t

query CURRENT_WATERMARK of no time attribute
SELECT CURRENT_WATERMARK(ts) FROM plain

query DISTINCT in a scalar function
SELECT UPPER(DISTINCT name) FROM t

query FILTER of a scalar function
SELECT UPPER(name) FILTER (WHERE id = 1) FROM t
