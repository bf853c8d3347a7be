# Functions of strings at their edges.

values
'a' || 'b'
# differs: NULL without a type
'a' || NULL
'a' || 1
CONCAT('a', 'b', 'c')
# differs: NULL without a type
CONCAT('a', NULL)
CONCAT('a', 1)
CONCAT('a')
CONCAT_WS('-', 'a', 'b')
CONCAT_WS('-', 'a', CAST(NULL AS STRING), 'b')
CONCAT_WS(CAST(NULL AS STRING), 'a', 'b')
CONCAT_WS('-')
# differs: length of a result
UPPER('straße')
UPPER('éa')
LOWER('ÀÉ')
INITCAP('hello wORLD-foo bar_baz')
INITCAP('')
CHAR_LENGTH('')
CHAR_LENGTH('héllo')
CHAR_LENGTH('😀')
CHARACTER_LENGTH('abc')
# differs: ours
OCTET_LENGTH('é')
# differs: ours
LENGTH('abc')
TRIM('  a  ')
TRIM(LEADING 'x' FROM 'xxaxx')
TRIM(TRAILING 'x' FROM 'xxaxx')
TRIM(BOTH 'x' FROM 'xxaxx')
TRIM(BOTH FROM '  a  ')
TRIM(BOTH 'xy' FROM 'xyaxy')
TRIM('x' FROM 'xax')
LTRIM('  a ')
RTRIM(' a  ')
BTRIM('  a ')
LTRIM('xyaxy', 'xy')
RTRIM('xyaxy', 'xy')
BTRIM('xyaxy', 'yx')
SUBSTRING('abcdef', 2)
SUBSTRING('abcdef', 2, 3)
SUBSTRING('abcdef' FROM 2 FOR 3)
SUBSTRING('abcdef' FROM 2)
SUBSTRING('abc', 0, 2)
SUBSTRING('abc', 0)
SUBSTRING('abc', -2)
SUBSTRING('abc', -2, 1)
SUBSTRING('abc', -5, 3)
SUBSTRING('abc', 2, 0)
SUBSTRING('abc', 2, -1)
SUBSTRING('abc', 10)
SUBSTRING('abc', 2, 100)
SUBSTRING('héllo', 2, 2)
# differs: characters beyond 16 bits
SUBSTRING('a😀b', 2, 1)
SUBSTR('abc', 2)
SUBSTR('abc', 2, 1)
SUBSTRING(CAST(NULL AS STRING), 1)
LEFT('abc', 2)
LEFT('abc', 0)
LEFT('abc', -1)
LEFT('abc', 10)
RIGHT('abc', 2)
RIGHT('abc', 0)
RIGHT('abc', -1)
RIGHT('abc', 10)
LPAD('hi', 4, '??')
LPAD('hi', 1, '??')
LPAD('hi', 5, '')
LPAD('hi', -1, 'x')
LPAD('hi', 0, 'x')
LPAD('', 3, 'ab')
RPAD('hi', 4, '??')
RPAD('hi', 1, '??')
RPAD('hi', 5, '')
RPAD('hi', -1, 'x')
REPEAT('ab', 3)
REPEAT('ab', 0)
REPEAT('ab', -1)
REVERSE('abc')
REVERSE('')
REVERSE('a😀b')
REPLACE('banana', 'a', 'o')
REPLACE('banana', '', 'o')
REPLACE('banana', 'a', '')
REPLACE('aaa', 'aa', 'b')
POSITION('b' IN 'abc')
POSITION('z' IN 'abc')
POSITION('' IN 'abc')
LOCATE('b', 'abcb')
LOCATE('b', 'abcb', 3)
LOCATE('b', 'abcb', 0)
LOCATE('b', 'abcb', -1)
LOCATE('', 'abc')
LOCATE('z', 'abc')
INSTR('abcb', 'b')
INSTR('abc', 'z')
INSTR('abc', '')
STARTSWITH('abc', 'ab')
STARTSWITH('abc', '')
ENDSWITH('abc', 'bc')
ENDSWITH('abc', 'x')
SPLIT_INDEX('a,b,c', ',', 0)
SPLIT_INDEX('a,b,c', ',', 2)
SPLIT_INDEX('a,b,c', ',', 3)
SPLIT_INDEX('a,b,c', ',', -1)
SPLIT_INDEX('', ',', 0)
SPLIT_INDEX('a,,c', ',', 1)
SPLIT_INDEX('abc', '', 1)
SPLIT_INDEX('a--b--c', '--', 1)
SPLIT_INDEX('a.b', '.', 1)
SPLIT_INDEX(CAST(NULL AS STRING), ',', 0)
ASCII('abc')
ASCII('')
ASCII('é')
ASCII('😀')
CHR(97)
CHR(0)
CHR(353)
CHR(-1)
OVERLAY('abcdef' PLACING 'X' FROM 2)
OVERLAY('abcdef' PLACING 'XYZ' FROM 2 FOR 1)
OVERLAY('abcdef' PLACING 'X' FROM 10)
OVERLAY('abcdef' PLACING 'X' FROM 0)
OVERLAY('abcdef' PLACING 'X' FROM -1 FOR 2)
REGEXP('abc', 'b')
REGEXP('abc', '^b')
REGEXP('abc', '')
REGEXP(CAST(NULL AS STRING), 'b')
REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)
REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 0)
REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)')
REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 3)
REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', -1)
REGEXP_EXTRACT('abc', 'x(.)', 1)
REGEXP_EXTRACT('abc', '(', 1)
REGEXP_EXTRACT('abc', '(x)?c', 1)
REGEXP_REPLACE('foobar', 'oo|ar', '')
REGEXP_REPLACE('foobar', 'o', 'x')
REGEXP_REPLACE('abc', '(a)(b)', '$2$1')
REGEXP_REPLACE('abc', 'b', '\\')
REGEXP_REPLACE('abc', '(', 'x')
REGEXP_REPLACE('abc', '', 'x')
'abc' LIKE 'a%'
'abc' LIKE 'a_c'
'abc' LIKE 'A%'
'abc' LIKE ''
'' LIKE '%'
'a%c' LIKE 'a\%c'
'a%c' LIKE 'a!%c' ESCAPE '!'
'abc' LIKE 'a!%c' ESCAPE '!'
'a_c' LIKE 'a!_c' ESCAPE '!'
'a\c' LIKE 'a\c'
'abc' NOT LIKE 'a%'
CAST(NULL AS STRING) LIKE 'a%'
'abc' LIKE CAST(NULL AS STRING)
'a.c' LIKE 'a.c'
'abc' LIKE 'a.c'
'abc' SIMILAR TO 'a(b|x)c'
'abc' SIMILAR TO 'a%'
'abc' SIMILAR TO 'b'
'abc' SIMILAR TO '[a-c]+'
'abc' SIMILAR TO 'a_c'
'a.c' SIMILAR TO 'a.c'
'abc' SIMILAR TO 'a.c'
'abc' NOT SIMILAR TO 'x%'
'abc' SIMILAR TO 'ab{1,2}c'
'a%' SIMILAR TO 'a!%' ESCAPE '!'
'a' = 'a '
'a' = 'A'
CAST('a' AS CHAR(3)) = 'a'
'a' <> 'b'
'a' > 'B'
'é' > 'z'
MD5('abc')
MD5('')
SHA1('abc')
SHA224('abc')
SHA256('abc')
SHA384('abc')
SHA512('abc')
SHA2('abc', 256)
SHA2('abc', 512)
SHA2('abc', 1)
MD5(CAST(NULL AS STRING))
TO_BASE64('hello world')
TO_BASE64('')
FROM_BASE64('aGVsbG8gd29ybGQ=')
FROM_BASE64('!!')
IS_ALPHA('abc')
IS_ALPHA('ab1')
IS_ALPHA('')
IS_DIGIT('123')
IS_DIGIT('12a')
IS_DIGIT('')
IS_DECIMAL('1.5')
IS_DECIMAL('-1')
IS_DECIMAL('x')
IS_DECIMAL('')
CONCAT('a', CAST(NULL AS STRING), 'b')
UPPER(1)
CHAR_LENGTH(1)
_UTF16'é'
U&'\0041'
'it''s'
'a' 'b'
E'a\n'
"abc"
COALESCE('a', 'bcd')
COALESCE(NULL, 'bcd')
COALESCE(NULL, NULL)
COALESCE(CAST(NULL AS INT), 1)
COALESCE(1)
IFNULL(NULL, 1)
IFNULL(CAST(NULL AS INT), 1.5)
NULLIF('a', 'a')
NULLIF('a', 'b')
NULLIF(1, 1.0)
IF(TRUE, 1, 2.5)
IF(FALSE, 'a', 'bcd')
# differs: NULL without a type
IF(NULL, 1, 2)
# differs: NULL without a type
IF(TRUE, 1, NULL)
CASE WHEN TRUE THEN 1 ELSE 'a' END
CASE WHEN TRUE THEN 1 ELSE 2.5 END
CASE WHEN TRUE THEN NULL ELSE 2 END
CASE WHEN FALSE THEN 1 END
CASE 1 WHEN 1 THEN 'a' ELSE 'bb' END
CASE WHEN TRUE THEN NULL END

ddl
CREATE TABLE s (a STRING, b VARCHAR(5), c CHAR(3), n INT)

input s
abc, b, x, 1
'', '', '', 0
héllo wörld, lo w, éé, 2
NULL, NULL, NULL, NULL
a%_b, %, _, -1

values s
a || b
a || c
CONCAT(a, b)
CONCAT_WS(',', a, b, c)
UPPER(a)
UPPER(b)
LOWER(c)
INITCAP(a)
CHAR_LENGTH(a)
CHAR_LENGTH(c)
c
TRIM(a)
SUBSTRING(a, 2)
SUBSTRING(a, n)
SUBSTRING(a, 1, n)
LEFT(a, n)
RIGHT(a, n)
LPAD(a, 6, b)
RPAD(a, 6, b)
REPEAT(b, n)
REVERSE(a)
REPLACE(a, b, '-')
POSITION(b IN a)
LOCATE(b, a)
INSTR(a, b)
STARTSWITH(a, b)
ENDSWITH(a, b)
SPLIT_INDEX(a, ' ', n)
ASCII(a)
CHR(n)
OVERLAY(a PLACING b FROM 2)
REGEXP(a, 'l+')
REGEXP_EXTRACT(a, '(l+)', 1)
REGEXP_REPLACE(a, 'l', 'L')
a LIKE 'a%'
a LIKE b
a LIKE '%\_%'
a LIKE '%!_%' ESCAPE '!'
a SIMILAR TO '[a-z]*'
a = b
a < b
b < c
a IN ('abc', '')
a IS NULL
COALESCE(a, 'none')
COALESCE(b, c)
CASE WHEN n > 0 THEN a ELSE b END
CASE WHEN n > 0 THEN b ELSE c END
CASE WHEN n > 0 THEN 'xy' ELSE b END
IF(n > 0, b, 'abcdefgh')
MD5(a)
SHA256(a)
TO_BASE64(a)
FROM_BASE64(TO_BASE64(a))
HEX(a)
CAST(a AS VARCHAR(2))
CAST(a AS CHAR(4))
CAST(b AS STRING)
CAST(n AS STRING)
CAST(n AS VARCHAR(1))
NULLIF(a, 'abc')
GREATEST(a, b)
IS_ALPHA(a)
TRY_CAST(a AS INT)
# differs: ours
OCTET_LENGTH(a)
