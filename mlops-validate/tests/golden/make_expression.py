"""Records what DuckDB says of expressions, row by row.

Needs duckdb. Writes expression.json beside this file:

    python make_expression.py
"""

import json
import pathlib

import duckdb

COLUMNS = [
    ("i", "BIGINT", [1, -7, 0, None, 9223372036854775807]),
    ("j", "BIGINT", [2, None, 0, 5, 1]),
    ("x", "DOUBLE", [0.5, -2.5, 0.0, None, 1e300]),
    ("t", "VARCHAR", ["abc", "", "Åse b", None, "100%"]),
    ("s", "VARCHAR", ["b", "7", None, " pad ", "a_c"]),
    ("b", "BOOLEAN", [True, False, None, True, None]),
    ("d", "DATE", ["1970-01-01", "2024-02-29", None, "2026-01-31", "1969-12-31"]),
    ("z", "TIMESTAMP", ["1970-01-01 00:00:00", "2024-02-29 23:59:59.5", None, "2026-01-31 12:30:00", "1969-12-31 23:59:59"]),
]

EXPRESSIONS = """
i = 1
i <> 1
i < j
i <= j
i > 0.5
i = x * 2
9223372036854775806 < i
i IS NULL
i IS NOT NULL
i IS DISTINCT FROM j
i IS NOT DISTINCT FROM j
i IS DISTINCT FROM NULL
i IN (1, 2, NULL)
i NOT IN (1, 2, NULL)
i NOT IN (1, 2)
i IN (j, 1)
i BETWEEN -7 AND 1
i NOT BETWEEN 0 AND j
i BETWEEN j AND NULL
x BETWEEN 0 AND 0.5
NOT b
b AND i > 0
b OR i > 0
NOT (b AND x > 0) OR i = 0
b IS TRUE
b IS NOT TRUE
b IS FALSE
b IS NOT FALSE
b = (i > 0)
NULL = NULL
b AND NULL
b OR NULL
i + j = 3
i - j < 0
i * j = 0
i % 2 = 1
i % 2 = -1
-i = 7
-(i + j) < 0
x / 2 = 0.25
x + x = 2 * x
x * -1 = -x
x % 2 = -0.5
i / 2 = 0.5
ABS(x) = 2.5
CEIL(x) = -2
FLOOR(x) = -3
ROUND(x) = -3
ROUND(x, 1) = 0.5
SQRT(x) > 0.7 AND x > 0
ISNAN(x)
ISINF(x * 1e10)
t = 'abc'
t < 'b'
t >= 'Z'
t <> s
t > s
t LIKE 'a%'
t LIKE '%b%'
t LIKE '%b'
t LIKE '_bc'
t LIKE '%'
t LIKE ''
t LIKE '%!%' ESCAPE '!'
t NOT LIKE 'a%'
t ILIKE 'A%'
t ILIKE 'å%'
t NOT ILIKE '%B'
s LIKE 'a!_c' ESCAPE '!'
s LIKE 'a_c'
LENGTH(t) = 3
LENGTH(t) = 5
LENGTH(s) > LENGTH(t)
LOWER(t) = 'åse b'
UPPER(t) = 'ÅSE B'
TRIM(s) = 'pad'
LTRIM(s) = 'pad '
RTRIM(s) = ' pad'
SUBSTRING(t, 2) = 'bc'
SUBSTRING(t, 1, 1) = 'a'
SUBSTRING(t, 0, 2) = 'a'
SUBSTRING(t, -2, 1) = 'b'
SUBSTRING(t, -10, 8) = 'a'
SUBSTRING(t, 4, 2) = ''
SUBSTRING(t FROM 2 FOR 2) = 'bc'
t || s = 'abcb'
t || '!' = '!'
t || NULL IS NULL
STARTS_WITH(t, 'a')
STARTS_WITH(t, '')
ENDS_WITH(t, '%')
CONTAINS(t, 'b')
CONTAINS(t, s)
REGEXP_MATCHES(t, '^a.c$')
REGEXP_MATCHES(t, '[0-9]+')
NOT REGEXP_MATCHES(t, 'b')
COALESCE(i, j, 0) = 5
COALESCE(t, 'none') = 'none'
COALESCE(b, FALSE)
NULLIF(i, 0) IS NULL
NULLIF(t, '') IS NULL
GREATEST(i, j) = 5
GREATEST(i, j, 3) = 3
LEAST(i, j) = 1
LEAST(x, 0) = 0
GREATEST(t, s) = 'b'
CASE WHEN i > 0 THEN 'pos' WHEN i < 0 THEN 'neg' END = 'neg'
CASE WHEN i > 0 THEN 1 ELSE 0 END = 0
CASE i WHEN 1 THEN 'one' WHEN -7 THEN 'seven' ELSE 'other' END = 'other'
CASE WHEN b THEN x END IS NULL
CASE i WHEN NULL THEN TRUE ELSE FALSE END
CASE WHEN NULL THEN TRUE ELSE FALSE END
IF(b, i, j) = 2
IFNULL(j, 9) = 9
d = DATE '1970-01-01'
d < '1970-01-01'
d >= DATE '2024-02-29'
d BETWEEN '2024-01-01' AND '2026-12-31'
d IN (DATE '2026-01-31', '1969-12-31')
d IS NULL OR d > DATE '2000-01-01'
z = TIMESTAMP '1970-01-01 00:00:00'
z > '2024-02-29 23:59:59'
z <= TIMESTAMP '2024-02-29 23:59:59.5'
z >= d
z < DATE '2026-02-01'
z > d
YEAR(d) = 2024
MONTH(d) = 12
DAY(d) = 29
YEAR(z) = 1969
HOUR(z) = 23
MINUTE(z) = 30
SECOND(z) = 59
EXTRACT(YEAR FROM d) = 2026
EXTRACT(MONTH FROM z) = 2
CAST(z AS DATE) = d
CAST(d AS TIMESTAMP) = z
TRY_CAST(s AS BIGINT) = 7
TRY_CAST(s AS BIGINT) IS NULL
TRY_CAST(s AS DOUBLE) < 8
TRY_CAST(t AS DATE) IS NULL
CAST(i AS VARCHAR) = '-7'
CAST(i AS VARCHAR) || 'x' = '1x'
CAST(b AS VARCHAR) = 'true'
CAST(b AS BIGINT) = 1
CAST(i AS DOUBLE) = 9223372036854775807
CAST(d AS VARCHAR) = '2024-02-29'
CAST(z AS VARCHAR) = '2024-02-29 23:59:59.5'
CAST(i AS BOOLEAN)
TRY_CAST(x AS BIGINT) IS NULL
TRY_CAST(s AS BOOLEAN) IS NULL
i::DOUBLE > 0
(i > 0) = b
(i > 0) IS NULL
(t = 'abc') IS NOT DISTINCT FROM b
(i IS NULL) = (t IS NULL)
NOT i = 1 AND NOT j = 2
NOT NOT b
i > 0 AND j > 0 OR x < 0
i > 0 AND (j > 0 OR x < 0)
1 = 1
1 = 2 OR b
'a' < 'b' AND b
2 + 3 * 4 = 14
(2 + 3) * 4 = 20
10 - 3 - 2 = 5
-7 % 3 = -1
7 % -3 = 1
'it''s' = 'it' || '''' || 's'
x = 1e300
x > 1e299
x IN (0.5, 0.0)
x NOT IN (0.5, 0.0)
i % 0 = 1
i / 0 > 1
x / 0 > 1
TRY_CAST(x AS BIGINT) = -2
TRY_CAST(x AS BIGINT) = 0
CONCAT(t, s) = ' pad '
CAST(x AS VARCHAR) = '0.5'
i + 1 > 0
i * 2 > 0
""".strip().splitlines()

con = duckdb.connect()
con.execute("CREATE TABLE rows (n INT, " + ", ".join(f"{n} {k}" for n, k, _ in COLUMNS) + ")")
for row in range(5):
    values = [row] + [v[row] for _, _, v in COLUMNS]
    con.execute("INSERT INTO rows VALUES (" + ", ".join("?" * len(values)) + ")", values)

cases = []
for text in EXPRESSIONS:
    answers = []
    for row in range(5):
        # Alone, as an error of one row is not one of the others.
        try:
            answers += con.execute(f"SELECT CAST(({text}) AS BOOLEAN) FROM rows WHERE n = {row}").fetchone()
        except duckdb.Error as error:
            answers.append(f"error: {str(error).split(':')[0]}")
    cases.append({"expression": text, "rows": answers})

out = {
    "duckdb": duckdb.__version__,
    "columns": [{"name": n, "type": k, "values": v} for n, k, v in COLUMNS],
    "cases": cases,
}
path = pathlib.Path(__file__).with_name("expression.json")
path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
print(len(cases) * 5, "cases")
