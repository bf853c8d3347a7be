# FLOAT beside DOUBLE, spreads of integers.

ddl
CREATE TABLE n (f FLOAT, x DOUBLE, i INT, l BIGINT, d DECIMAL(10, 2))

input n
0.1, 0.2, 3, 5, 1.25
1.5, 2.5, 7, 11, 2.50
2.5, 0.3, 4, 10, 7.00

values n
f + x
x + f
f - x
x - f
f * x
x * f
f / x
x / f
f % x
f + 1E0
f + d
d + f
f + l
l + f
f / i
f = x
f < x
GREATEST(f, x)
LEAST(x, f)
COALESCE(f, x)
COALESCE(x, f)
CASE WHEN i > 3 THEN f ELSE x END
CASE WHEN i > 3 THEN f ELSE d END
CASE WHEN i > 3 THEN i ELSE f END
f IN (1.5, 2)
f BETWEEN x AND 2
ARRAY[f, x]
POWER(f, 2)
CAST(f AS DOUBLE) + x
'a' || CAST(i AS VARCHAR(5)) || CAST('b' AS CHAR(2))
CAST('a' AS VARCHAR(5)) || CAST('b' AS CHAR(2))
CAST('a' AS VARCHAR(5)) || CAST('b' AS VARCHAR(7))
CAST('a' AS CHAR(5)) || 'b'
INITCAP('ab1c d2e')
INITCAP('ÀB')
RIGHT(CAST('a' AS CHAR(3)), 1)
TRIM(CAST('a' AS CHAR(3)))
TRIM(CAST('a' AS VARCHAR(9)))
REPEAT(CAST('a' AS VARCHAR(9)), 2)
REVERSE(CAST('a' AS VARCHAR(9)))
REPLACE(CAST('a' AS VARCHAR(9)), 'a', 'b')
LPAD(CAST('a' AS VARCHAR(9)), 3, 'x')
SPLIT_INDEX(CAST('a' AS VARCHAR(9)), 'x', 0)
REGEXP_REPLACE(CAST('a' AS VARCHAR(9)), 'a', 'b')
CONCAT(CAST('a' AS VARCHAR(9)), 'b')
SUBSTRING(CAST('a' AS CHAR(3)), 1, 1)
LOCATE('b', 'abcb', 5)
LOCATE('b', 'abcb', 10)
LOCATE('', 'abcb', 3)
LOCATE('é', 'aébé', 3)
REPLACE('', '', 'x')
# differs: characters beyond 16 bits
REPLACE('a😀b', '', 'x')
REGEXP('', 'a*')
REGEXP('abc', 'B')
REGEXP_REPLACE('a1b22', '[0-9]+', '$0')
ASCII(' ')
'axc' SIMILAR TO 'a\.c'
'a-c' SIMILAR TO 'a-c'
'a$c' SIMILAR TO 'a$c'
'a^c' SIMILAR TO 'a^c'
'aab' SIMILAR TO '(a)+b'
'abc' SIMILAR TO 'a[[:alpha:]]c'
'abc' SIMILAR TO '_b%'

query spreads of integers one by one
SELECT VAR_SAMP(i) AS a, VARIANCE(i) AS b, VAR_POP(i) AS c, STDDEV_SAMP(i) AS d, STDDEV_POP(i) AS e, VAR_SAMP(l) AS g, VARIANCE(l) AS h FROM n

query spreads of floats one by one
SELECT VAR_SAMP(f) AS a, VARIANCE(f) AS b, VAR_POP(f) AS c, STDDEV_SAMP(f) AS d FROM n

query spreads of decimals one by one
SELECT VAR_SAMP(d) AS a, VARIANCE(d) AS b, VAR_POP(d) AS c, STDDEV_SAMP(d) AS e FROM n
