"""The cases that make_great_expectations.py puts to Great Expectations."""

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column


def fill(m):
    case, i64, f64, s, b, date, ts, tsz, dec = m.case, m.i64, m.f64, m.s, m.b, m.date, m.ts, m.tsz, m.dec
    NAN, INF, SQL, when = m.NAN, m.INF, m.SQL, m.when

    ten = i64(*range(10))
    thousands = i64(*range(10000))
    gaps = i64(1, None, 3, None, 5)
    none = i64(None, None, None)
    fnone = f64(None, None)
    empty, fempty, sempty = i64(), f64(), s()
    snone = s(None, None)

    # Values between
    E = gxe.ExpectColumnValuesToBeBetween

    def between(name, column, **kw):
        case("between: " + name, E, {"x": column}, column="x", **kw)

    between("all inside", ten, min_value=0, max_value=9)
    between("strict minimum", ten, min_value=0, max_value=9, strict_min=True)
    between("strict maximum", ten, min_value=0, max_value=9, strict_max=True)
    between("both strict, one value", i64(5), min_value=5, max_value=5, strict_min=True, strict_max=True)
    between("open below", ten, max_value=4)
    between("open above", ten, min_value=4)
    between("no bound at all", ten)
    between("minimum above maximum", ten, min_value=9, max_value=0)
    between("fractional bounds of integers", ten, min_value=0.5, max_value=8.5)
    between("nulls are left out", gaps, min_value=1, max_value=3)
    between("all null", none, min_value=1)
    between("no rows", empty, min_value=1)
    between("one row inside", i64(7), min_value=7, max_value=7)
    between("one row outside", i64(7), min_value=8)
    between("mostly 0.9 at 0.9", ten, max_value=8, mostly=0.9)
    between("mostly 0.9 at 0.8999", thousands, max_value=8998, mostly=0.9)
    between("mostly 0.8999 at 0.8999", thousands, max_value=8998, mostly=0.8999)
    between("mostly counts rows with a value only", i64(1, 2, 3, None, None, None, None, 9), max_value=3, mostly=0.75)
    between("mostly 0", ten, max_value=-1, mostly=0.0)
    between("mostly 1/3 of three", i64(1, 2, 3), max_value=1, mostly=1 / 3)
    between("mostly 0.7 of ten at 0.7", ten, max_value=6, mostly=0.7)
    between("mostly 0.29 of hundred at 0.29", i64(*range(100)), max_value=28, mostly=0.29)
    between("mostly above one", ten, max_value=8, mostly=1.1)
    between("infinities", f64(0.5, INF, -INF, None), min_value=0, max_value=1)
    between("infinity under an open maximum", f64(0.5, INF), min_value=0)
    between("NaN is a value", f64(0.5, NAN, 1.5), min_value=0, max_value=1)
    between("NaN beside null", f64(0.5, NAN, None), min_value=0, max_value=1)
    between("negative zero", f64(-0.0, 0.0), min_value=0.0, max_value=0.0)
    between("strict against negative zero", f64(-0.0, 0.0), min_value=0.0, strict_min=True)
    between("dates", date("2024-01-01", "2024-02-29", None, "2024-12-31"), min_value=when("2024-01-02"))
    between("timestamps", ts("2024-01-01T00:00:00", "2024-06-01T12:00:00.000001", None), max_value=when("2024-06-01T12:00:00"))
    between("timestamps, strict", ts("2024-01-01T00:00:00", "2024-06-01T12:00:00"), max_value=when("2024-06-01T12:00:00"), strict_max=True)
    between("timestamps with a zone", tsz("2024-01-01T00:00:00+00:00", "2024-06-01T12:00:00+00:00"), min_value=when("2024-03-01T00:00:00+00:00"))
    between("timestamps with a zone, bound in another", tsz("2024-01-01T00:00:00+00:00", "2024-06-01T12:00:00+00:00"), max_value=when("2024-06-01T13:00:00+02:00"))
    between("timestamps against text", ts("2024-01-01T00:00:00", "2024-06-01T12:00:00"), min_value="2024-03-01")
    between("text against numbers", s("1", "2", "30"), min_value=1, max_value=5)
    between("text against text", s("a", "b", "ä"), min_value="a", max_value="c")
    between("decimals", dec("1.00", "2.50", None, "3.01"), min_value=1, max_value=3)
    between("bools", b(True, False, None), min_value=0, max_value=1)
    between("large integers", i64(2**53, 2**53 + 1), max_value=2**53)
    between("float32", ("float32", [0.1, 0.2]), min_value=0.1)
    case("between: unknown column", E, {"x": ten}, column="y", min_value=0)

    # Row conditions
    two = {"x": i64(1, 5, 9, None, 7), "g": s("a", "b", "a", "a", None)}
    nums = {"x": i64(1, 5, 9, None, 7), "k": i64(1, 2, 3, 4, None)}
    case("condition: text, pandas parser", E, two, column="x", max_value=5, row_condition='g == "a"', condition_parser="pandas")
    case("condition: equal", E, two, column="x", max_value=5, row_condition=Column("g") == "a")
    case("condition: not equal, null side", E, two, column="x", max_value=5, row_condition=Column("g") != "a")
    case("condition: nobody", E, two, column="x", max_value=5, row_condition=Column("g") == "z")
    case("condition: is null", E, two, column="x", max_value=5, row_condition=Column("g").is_null())
    case("condition: is not null", E, two, column="x", max_value=5, row_condition=Column("g").is_not_null())
    case("condition: in", E, nums, column="x", max_value=5, row_condition=Column("k").is_in([1, 3]))
    case("condition: not in, null side", E, nums, column="x", max_value=5, row_condition=Column("k").is_not_in([1, 3]))
    case("condition: less", E, nums, column="x", max_value=5, row_condition=Column("k") < 3)
    case("condition: at least", E, nums, column="x", max_value=5, row_condition=Column("k") >= 3)
    case("condition: and", E, nums, column="x", max_value=5, row_condition=(Column("k") >= 2) & (Column("x") > 5))
    case("condition: or", E, nums, column="x", max_value=5, row_condition=(Column("k") == 1) | (Column("k") == 3))
    case("condition: mostly of the rows kept", E, {"x": i64(*range(10)), "k": i64(*range(10))}, column="x", max_value=7, mostly=0.75, row_condition=Column("k") >= 2)
    case("condition: on itself", E, nums, column="x", max_value=5, row_condition=Column("x").is_not_null())
    case("condition: not null", gxe.ExpectColumnValuesToNotBeNull, two, column="x", row_condition=Column("g") == "a")
    case("condition: unique among the rows kept", gxe.ExpectColumnValuesToBeUnique, {"x": i64(1, 1, 2, 2), "g": s("a", "b", "a", "a")}, column="x", row_condition=Column("g") == "a")
    case("condition: row count", gxe.ExpectTableRowCountToEqual, two, value=3, row_condition=Column("g") == "a")
    case("condition: mean", gxe.ExpectColumnMeanToBeBetween, two, column="x", min_value=5, max_value=5, row_condition=Column("g") == "a")
    case("condition: unknown column", E, two, column="x", max_value=5, row_condition=Column("zz") == "a")
    case("condition: pair", gxe.ExpectColumnPairValuesToBeEqual, {"a": i64(1, 2, 3), "b": i64(1, 0, 0), "g": s("a", "a", "b")}, column_A="a", column_B="b", row_condition=Column("g") == "a")
    case("condition: compound", gxe.ExpectCompoundColumnsToBeUnique, {"a": i64(1, 1, 1), "b": i64(2, 2, 2), "g": s("a", "b", "a")}, column_list=["a", "b"], row_condition=Column("g") == "a")

    # Null and not null
    E = gxe.ExpectColumnValuesToNotBeNull

    def notnull(name, column, **kw):
        case("not null: " + name, E, {"x": column}, column="x", **kw)

    notnull("none missing", ten)
    notnull("some missing", gaps)
    notnull("all missing", none)
    notnull("no rows", empty)
    notnull("one row, missing", i64(None))
    notnull("mostly of all rows", gaps, mostly=0.6)
    notnull("mostly missed", gaps, mostly=0.61)
    notnull("NaN", f64(1.0, NAN, None))
    notnull("empty text is a value", s("", " ", None, "null", "NaN"))
    notnull("bools", b(True, None, False))
    notnull("timestamps", ts("2024-01-01T00:00:00", None))
    E = gxe.ExpectColumnValuesToBeNull

    def null(name, column, **kw):
        case("null: " + name, E, {"x": column}, column="x", **kw)

    null("all missing", none)
    null("some missing", gaps)
    null("none missing", ten)
    null("no rows", empty)
    null("mostly at the edge", gaps, mostly=0.4)
    null("mostly missed", gaps, mostly=0.41)
    null("NaN", f64(NAN, None))
    null("empty text is a value", s("", None))

    # Unique
    E = gxe.ExpectColumnValuesToBeUnique

    def unique(name, column, **kw):
        case("unique: " + name, E, {"x": column}, column="x", **kw)

    unique("all distinct", ten)
    unique("every member of a group counts", i64(1, 2, 2, 3, 3, 3))
    unique("nulls are no duplicates", i64(1, None, None, 2))
    unique("all null", none)
    unique("no rows", empty)
    unique("one row", i64(1))
    unique("mostly at the edge", i64(1, 2, 3, 4, 5, 6, 7, 8, 9, 9), mostly=0.8)
    unique("mostly missed", i64(1, 2, 3, 4, 5, 6, 7, 8, 9, 9), mostly=0.81)
    unique("mostly beside nulls", i64(1, 1, 2, 3, None), mostly=0.5)
    unique("the two zeros", f64(0.0, -0.0, 1.5))
    unique("two NaN", f64(NAN, NAN, 1.0))
    unique("text and case", s("a", "A", "a ", "a"))
    unique("text composed and decomposed", s("é", "e\u0301"))
    unique("bools", b(True, False, True))
    unique("timestamps", ts("2024-01-01T00:00:00", "2024-01-01T00:00:00", "2024-01-02T00:00:00"))
    unique("dates", date("2024-01-01", "2024-01-01", None))
    unique("decimals", dec("1.00", "1.0", "2.00"))
    unique("more than twenty unexpected", i64(*[i // 2 for i in range(50)]))

    # Sets
    E = gxe.ExpectColumnValuesToBeInSet

    def inset(name, column, **kw):
        case("in set: " + name, E, {"x": column}, column="x", **kw)

    inset("all in", i64(1, 2, 2), value_set=[1, 2, 3])
    inset("one out", i64(1, 2, 4), value_set=[1, 2, 3])
    inset("nulls are left out", gaps, value_set=[1, 3, 5])
    inset("null in the set", gaps, value_set=[1, 3, None])
    inset("empty set", i64(1, 2), value_set=[])
    inset("no set", i64(1, 2), value_set=None)
    inset("empty set of nulls", none, value_set=[])
    inset("all null", none, value_set=[1])
    inset("no rows", empty, value_set=[1])
    inset("integers as floats", i64(1, 2, 3), value_set=[1.0, 2.0, 2.5])
    inset("integers as text", i64(1, 2), value_set=["1", "2"])
    inset("text as integers", s("1", "2"), value_set=[1, 2])
    inset("text minds case and space", s("a", "A", "a "), value_set=["a"])
    inset("bools as integers", b(True, False), value_set=[0, 1])
    inset("integers as bools", i64(0, 1, 2), value_set=[True, False])
    inset("bools as text", b(True, False), value_set=["True", "False"])
    inset("floats", f64(0.1, 0.2, 0.30000000000000004), value_set=[0.1, 0.2, 0.3])
    inset("NaN", f64(1.0, NAN), value_set=[1.0])
    inset("mixed set", s("a", "1"), value_set=["a", 1])
    inset("mostly at the edge", i64(1, 1, 1, 2), value_set=[1], mostly=0.75)
    inset("mostly missed", i64(1, 1, 1, 2), value_set=[1], mostly=0.76)
    inset("dates as text", date("2024-01-01", "2024-01-02"), value_set=["2024-01-01"])
    inset("timestamps", ts("2024-01-01T00:00:00", "2024-01-02T00:00:00"), value_set=[when("2024-01-01T00:00:00")])
    inset("timestamps as text", ts("2024-01-01T00:00:00", "2024-01-02T00:00:00"), value_set=["2024-01-01 00:00:00"])
    E = gxe.ExpectColumnValuesToNotBeInSet

    def notin(name, column, **kw):
        case("not in set: " + name, E, {"x": column}, column="x", **kw)

    notin("none in", i64(1, 2), value_set=[3])
    notin("one in", i64(1, 2, 3, 3), value_set=[3])
    notin("nulls are left out", gaps, value_set=[1])
    notin("null in the set", gaps, value_set=[None, 9])
    notin("empty set", i64(1, 2), value_set=[])
    notin("no set", i64(1, 2), value_set=None)
    notin("all null", none, value_set=[1])
    notin("no rows", empty, value_set=[1])
    notin("mostly at the edge", i64(1, 1, 1, 2), value_set=[2], mostly=0.75)
    notin("bools as integers", b(True, False), value_set=[1])
    notin("text", s("", "x", None), value_set=[""])

    # Types
    E = gxe.ExpectColumnValuesToBeOfType

    def oftype(name, column, **kw):
        case("of type: " + name, E, {"x": column}, column="x", **kw)

    for column, label, kinds in [
        (i64(1, 2), "int64", ["int64", "Int64", "int", "INTEGER", "float64", "str", "numpy.int64", "number"]),
        (f64(1.0, 2.5), "float64", ["float64", "Float64", "float", "int64", "double[pyarrow]"]),
        (s("a", "b"), "utf8", ["str", "string", "object", "int64", "StringDtype"]),
        (b(True, False), "bool", ["bool", "boolean", "int64"]),
        (ts("2024-01-01T00:00:00"), "timestamp", ["datetime64[us]", "datetime64", "Timestamp", "datetime", "datetime64[ns]"]),
        (date("2024-01-01"), "date", ["object", "date", "datetime64"]),
    ]:
        for kind in kinds:
            oftype(f"{label} as {kind}", column, type_=kind)
    oftype("nulls", i64(1, None), type_="int64")
    oftype("all null", none, type_="int64")
    oftype("no rows", empty, type_="int64")
    oftype("nonsense", ten, type_="no such type")
    E = gxe.ExpectColumnValuesToBeInTypeList

    def typelist(name, column, **kw):
        case("in type list: " + name, E, {"x": column}, column="x", **kw)

    typelist("int64 among", i64(1, 2), type_list=["int64", "Int64", "int64[pyarrow]"])
    typelist("int64 not among", i64(1, 2), type_list=["float64", "str"])
    typelist("text among", s("a"), type_list=["str", "string", "string[pyarrow]"])
    typelist("bool is not int", b(True), type_list=["int64", "Int64", "int64[pyarrow]"])
    typelist("empty list", i64(1), type_list=[])
    typelist("no list", i64(1), type_list=None)
    typelist("all null", none, type_list=["int64", "Int64", "int64[pyarrow]"])
    typelist("no rows", empty, type_list=["int64", "Int64", "int64[pyarrow]"])
    typelist("timestamps", ts("2024-01-01T00:00:00"), type_list=["datetime64[us]", "datetime64"])
    typelist("nonsense beside a match", i64(1), type_list=["no such type", "int64", "Int64", "int64[pyarrow]"])
    E = gxe.ExpectColumnTypeToBe
    for column, label, kinds in [
        (i64(1, 2), "int64", ["int64", "INTEGER", "float64"]),
        (f64(1.0), "float64", ["float64", "FLOAT"]),
        (s("a"), "utf8", ["str", "TEXT", "object"]),
        (b(True), "bool", ["bool", "BOOLEAN"]),
        (ts("2024-01-01T00:00:00"), "timestamp", ["datetime64[us]", "TIMESTAMP"]),
    ]:
        for kind in kinds:
            case(f"column type: {label} as {kind}", E, {"x": column}, column="x", type_=kind)
    case("column type: SQL integer", E, {"x": i64(1)}, on=SQL, column="x", type_="INTEGER")
    case("column type: SQL integer in lower case", E, {"x": i64(1)}, on=SQL, column="x", type_="integer")
    case("column type: SQL text as integer", E, {"x": s("a")}, on=SQL, column="x", type_="INTEGER")
    case("column type: SQL, unknown column", E, {"x": s("a")}, on=SQL, column="y", type_="TEXT")

    # Lengths
    E = gxe.ExpectColumnValueLengthsToBeBetween

    def lengths(name, column, **kw):
        case("lengths: " + name, E, {"x": column}, column="x", **kw)

    lengths("inside", s("a", "bb", "ccc"), min_value=1, max_value=3)
    lengths("strict minimum", s("a", "bb", "ccc"), min_value=1, max_value=3, strict_min=True)
    lengths("strict maximum", s("a", "bb", "ccc"), min_value=1, max_value=3, strict_max=True)
    lengths("open below", s("", "a", "bbbb"), max_value=3)
    lengths("open above", s("", "a", "bbbb"), min_value=1)
    lengths("nulls are left out", s("a", None, "bbbb"), max_value=1)
    lengths("all null", snone, min_value=1)
    lengths("no rows", sempty, min_value=1)
    lengths("no bound at all", s("a"))
    lengths("letter with a combining accent is two", s("é", "e\u0301"), max_value=1)
    lengths("emoji is one, a family is more", s("😀", "👩\u200d👩\u200d👧", "🇨🇭"), max_value=1)
    lengths("emoji of five code points", s("👩\u200d👩\u200d👧"), min_value=5, max_value=5)
    lengths("mostly at the edge", s("a", "a", "a", "bb"), max_value=1, mostly=0.75)
    lengths("mostly missed", s("a", "a", "a", "bb"), max_value=1, mostly=0.76)
    lengths("of integers", i64(1, 22, 333), max_value=2)
    lengths("minimum above maximum", s("a"), min_value=3, max_value=1)
    lengths("fractional bound", s("a", "bb"), max_value=1.5)
    E = gxe.ExpectColumnValueLengthsToEqual

    def length(name, column, **kw):
        case("length equals: " + name, E, {"x": column}, column="x", **kw)

    length("all", s("ab", "cd"), value=2)
    length("one differs", s("ab", "c", "def"), value=2)
    length("nulls are left out", s("ab", None), value=2)
    length("empty text", s("", "a"), value=0)
    length("all null", snone, value=2)
    length("no rows", sempty, value=2)
    length("code points", s("日本", "e\u0301", "ß"), value=2)
    length("mostly at the edge", s("ab", "ab", "ab", "c"), value=2, mostly=0.75)
    length("of integers", i64(10, 200), value=2)
    length("fractional", s("ab"), value=2.0)

    # Regexes
    E = gxe.ExpectColumnValuesToMatchRegex

    def regex(name, column, **kw):
        case("regex: " + name, E, {"x": column}, column="x", **kw)

    regex("found anywhere", s("xabcx", "abc", "ac"), regex="abc")
    regex("anchored", s("xabc", "abc", "abcx"), regex="^abc$")
    regex("end of line before a newline", s("abc\n", "abc"), regex="abc$")
    regex("start only", s("abc", "xabc"), regex="^a")
    regex("empty pattern", s("", "a"), regex="")
    regex("empty text", s("", "a"), regex="a")
    regex("nulls are left out", s("a", None, "b"), regex="a")
    regex("all null", snone, regex="a")
    regex("no rows", sempty, regex="a")
    regex("case", s("A", "a"), regex="a")
    regex("case flag", s("A", "a", "b"), regex="(?i)a")
    regex("alternatives", s("cat", "dog", "cow"), regex="cat|dog")
    regex("digits of other scripts", s("٣", "3"), regex=r"^\d$")
    regex("word letters of other scripts", s("é", "日", "-"), regex=r"^\w$")
    regex("dot and newline", s("a\nb", "axb"), regex="a.b")
    regex("look-ahead", s("ab", "ac"), regex="a(?=b)")
    regex("back reference", s("aa", "ab"), regex=r"(a)\1")
    regex("not a pattern", s("a"), regex="(")
    regex("of integers", i64(12, 3), regex=r"^\d{2}$")
    regex("of floats", f64(1.0, 2.5), regex=r"\.0$")
    regex("mostly at the edge", s("a", "a", "a", "b"), regex="a", mostly=0.75)
    regex("mostly missed", s("a", "a", "a", "b"), regex="a", mostly=0.76)
    E = gxe.ExpectColumnValuesToNotMatchRegex

    def notregex(name, column, **kw):
        case("not regex: " + name, E, {"x": column}, column="x", **kw)

    notregex("none", s("b", "c"), regex="a")
    notregex("found anywhere", s("bab", "c"), regex="a")
    notregex("anchored", s("ba", "ab"), regex="^a")
    notregex("nulls are left out", s("b", None), regex="a")
    notregex("all null", snone, regex="a")
    notregex("no rows", sempty, regex="a")
    notregex("mostly at the edge", s("a", "b", "b", "b"), regex="a", mostly=0.75)
    notregex("empty pattern", s("", "a"), regex="")
    E = gxe.ExpectColumnValuesToMatchRegexList

    def regexes(name, column, **kw):
        case("regex list: " + name, E, {"x": column}, column="x", **kw)

    regexes("any by default", s("a", "b", "c"), regex_list=["a", "b"])
    regexes("any", s("a1", "b", "1"), regex_list=["^[a-z]", r"\d$"], match_on="any")
    regexes("all", s("a1", "b", "1"), regex_list=["^[a-z]", r"\d$"], match_on="all")
    regexes("empty list, any", s("a"), regex_list=[], match_on="any")
    regexes("empty list, all", s("a"), regex_list=[], match_on="all")
    regexes("nulls are left out", s("a", None, "z"), regex_list=["a"])
    regexes("all null", snone, regex_list=["a"])
    regexes("no rows", sempty, regex_list=["a"])
    regexes("mostly at the edge", s("a", "b", "c", "d"), regex_list=["a", "b", "c"], mostly=0.75)
    regexes("neither any nor all", s("a"), regex_list=["a"], match_on="some")
    E = gxe.ExpectColumnValuesToNotMatchRegexList

    def notregexes(name, column, **kw):
        case("not regex list: " + name, E, {"x": column}, column="x", **kw)

    notregexes("none", s("x", "y"), regex_list=["a", "b"])
    notregexes("one of two", s("a", "y"), regex_list=["a", "b"])
    notregexes("both in one value", s("ab", "y"), regex_list=["a", "b"])
    notregexes("empty list", s("a"), regex_list=[])
    notregexes("nulls are left out", s("x", None), regex_list=["a"])
    notregexes("all null", snone, regex_list=["a"])
    notregexes("no rows", sempty, regex_list=["a"])
    notregexes("mostly at the edge", s("a", "y", "y", "y"), regex_list=["a"], mostly=0.75)

    # LIKE, which pandas refuses
    case("like: on pandas", gxe.ExpectColumnValuesToMatchLikePattern, {"x": s("a")}, column="x", like_pattern="a%")

    def like(name, column, kind=gxe.ExpectColumnValuesToMatchLikePattern, **kw):
        case("like: " + name, kind, {"x": column}, on=SQL, column="x", **kw)

    like("prefix", s("abc", "ABC", "xabc", None), like_pattern="a%")
    like("anywhere", s("xabcx", "ac"), like_pattern="%abc%")
    like("one character", s("abc", "ac", "abbc"), like_pattern="a_c")
    like("one character is a code point", s("aéc", "a😀c", "ae\u0301c"), like_pattern="a_c")
    like("whole value", s("abc", "abcd"), like_pattern="abc")
    like("empty pattern", s("", "a"), like_pattern="")
    like("percent alone", s("", "a", None), like_pattern="%")
    like("a dot is a dot", s("a.c", "abc"), like_pattern="a.c")
    like("newline", s("a\nc", "abc"), like_pattern="a%c")
    like("backslash without escape", s("a%c", "abc", "a\\%c"), like_pattern="a\\%c")
    like("escape", s("a%c", "abc"), like_pattern="a!%c", escape="!")
    like("all null", snone, like_pattern="a")
    like("no rows", sempty, like_pattern="a")
    like("mostly at the edge", s("a", "a", "a", "b"), like_pattern="a%", mostly=0.75)
    like("mostly missed", s("a", "a", "a", "b"), like_pattern="a%", mostly=0.76)
    like("case of other scripts", s("É", "é"), like_pattern="é")
    NL = gxe.ExpectColumnValuesToNotMatchLikePattern
    like("not: none", s("b", "c"), NL, like_pattern="a%")
    like("not: one", s("abc", "c", None), NL, like_pattern="a%")
    like("not: escape", s("a%c", "abc"), NL, like_pattern="a!%c", escape="!")
    like("not: all null", snone, NL, like_pattern="a")
    like("not: no rows", sempty, NL, like_pattern="a")
    like("not: mostly at the edge", s("a", "b", "b", "b"), NL, like_pattern="a%", mostly=0.75)
    LL = gxe.ExpectColumnValuesToMatchLikePatternList
    like("list: any by default", s("abc", "xyz", "q"), LL, like_pattern_list=["a%", "%z"])
    like("list: any", s("abc", "xyz", "q"), LL, like_pattern_list=["a%", "%z"], match_on="any")
    like("list: all", s("abz", "abc", "q", None), LL, like_pattern_list=["a%", "%z"], match_on="all")
    like("list: empty", s("a"), LL, like_pattern_list=[])
    like("list: escape", s("a%", "ab"), LL, like_pattern_list=["a!%"], escape="!")
    like("list: all null", snone, LL, like_pattern_list=["a"])
    like("list: mostly at the edge", s("a", "a", "b", "c"), LL, like_pattern_list=["a", "b"], mostly=0.75)
    NLL = gxe.ExpectColumnValuesToNotMatchLikePatternList
    like("not list: none", s("x", "y"), NLL, like_pattern_list=["a%", "b%"])
    like("not list: one of two", s("abc", "y", None), NLL, like_pattern_list=["a%", "b%"])
    like("not list: both", s("ab", "y"), NLL, like_pattern_list=["a%", "%b"])
    like("not list: empty", s("a"), NLL, like_pattern_list=[])
    like("not list: all null", snone, NLL, like_pattern_list=["a"])
    like("not list: mostly at the edge", s("a", "y", "y", "y"), NLL, like_pattern_list=["a"], mostly=0.75)

    # Dates as text
    E = gxe.ExpectColumnValuesToMatchStrftimeFormat

    def strftime(name, column, **kw):
        case("strftime: " + name, E, {"x": column}, column="x", **kw)

    strftime("dates", s("2024-01-31", "2024-02-30", "31.01.2024"), strftime_format="%Y-%m-%d")
    strftime("unpadded", s("2024-1-3", "2024-01-03"), strftime_format="%Y-%m-%d")
    strftime("trailing text", s("2024-01-31 ", "2024-01-31T00"), strftime_format="%Y-%m-%d")
    strftime("leap days", s("2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29"), strftime_format="%Y-%m-%d")
    strftime("times", s("23:59:59", "24:00:00", "7:05:01", "23:59:60"), strftime_format="%H:%M:%S")
    strftime("fractions", s("2024-01-31 10:00:00.123456", "2024-01-31 10:00:00.1", "2024-01-31 10:00:00"), strftime_format="%Y-%m-%d %H:%M:%S.%f")
    strftime("zones", s("2024-01-31 +0100", "2024-01-31 +01:00", "2024-01-31 Z", "2024-01-31"), strftime_format="%Y-%m-%d %z")
    strftime("month names", s("31 Jan 2024", "31 jan 2024", "31 Foo 2024"), strftime_format="%d %b %Y")
    strftime("twelve hours", s("01:30 PM", "13:30 PM", "00:30 AM"), strftime_format="%I:%M %p")
    strftime("two-digit year", s("24-01-31", "2024-01-31"), strftime_format="%y-%m-%d")
    strftime("day of the year", s("2024-366", "2023-366"), strftime_format="%Y-%j")
    strftime("nulls are left out", s("2024-01-31", None, "x"), strftime_format="%Y-%m-%d")
    strftime("all null", snone, strftime_format="%Y")
    strftime("no rows", sempty, strftime_format="%Y")
    strftime("literal percent", s("50%", "50"), strftime_format="%d%%")
    strftime("of integers", i64(20240131), strftime_format="%Y%m%d")
    strftime("of timestamps", ts("2024-01-31T00:00:00"), strftime_format="%Y-%m-%d")
    strftime("unknown letter", s("2024"), strftime_format="%Q")
    strftime("mostly at the edge", s("2024", "2025", "2026", "x"), strftime_format="%Y", mostly=0.75)
    E = gxe.ExpectColumnValuesToBeDateutilParseable

    def dateutil(name, column, **kw):
        case("dateutil: " + name, E, {"x": column}, column="x", **kw)

    dateutil("dates", s("2024-01-31", "31.01.2024", "Jan 31, 2024", "2024-02-30", "nonsense"))
    dateutil("short ones", s("10", "2024", "12:30", "monday", "", "1"))
    dateutil("with zones", s("2024-01-31T10:00:00Z", "2024-01-31T10:00:00+01:00", "2024-01-31T25:00:00"))
    dateutil("nulls are left out", s("2024-01-31", None))
    dateutil("all null", snone)
    dateutil("no rows", sempty)
    dateutil("mostly at the edge", s("2024-01-01", "2024-01-02", "2024-01-03", "x"), mostly=0.75)
    dateutil("of integers", i64(20240131))

    # Order
    for kind, label in [(gxe.ExpectColumnValuesToBeIncreasing, "increasing"), (gxe.ExpectColumnValuesToBeDecreasing, "decreasing")]:
        def order(name, column, **kw):
            case(f"{label}: {name}", kind, {"x": column}, column="x", **kw)

        order("rising", i64(1, 2, 3, 10))
        order("falling", i64(10, 3, 2, 1))
        order("ties", i64(1, 1, 2, 2))
        order("falling ties", i64(2, 2, 1, 1))
        order("rising, strictly", i64(1, 2, 3), strictly=True)
        order("falling, strictly", i64(3, 2, 1), strictly=True)
        order("ties, strictly", i64(1, 1, 2), strictly=True)
        order("falling ties, strictly", i64(2, 1, 1), strictly=True)
        order("a dip", i64(1, 3, 2, 4))
        order("a bump", i64(4, 2, 3, 1))
        order("across a null", i64(5, None, 1, 2))
        order("across a null, falling", i64(2, None, 5, 4))
        order("first is null", i64(None, 2, 3))
        order("one row", i64(1))
        order("all null", none)
        order("no rows", empty)
        order("floats", f64(0.1, 0.2, 0.15))
        order("NaN within", f64(1.0, NAN, 2.0))
        order("infinities", f64(-INF, 0.0, INF))
        order("timestamps", ts("2024-01-01T00:00:00", "2024-01-03T00:00:00", "2024-01-02T00:00:00"))
        order("dates", date("2024-01-01", "2024-01-02", "2024-01-02"))
        order("text", s("a", "b", "c"))
        order("mostly at the edge", i64(1, 3, 2, 4), mostly=0.75)
        order("mostly missed", i64(1, 3, 2, 4), mostly=0.76)

    # JSON
    E = gxe.ExpectColumnValuesToBeJsonParseable

    def json_(name, column, **kw):
        case("json: " + name, E, {"x": column}, column="x", **kw)

    json_("kinds", s("{}", "[1, 2]", '"a"', "1", "true", "null"))
    json_("broken", s("{", "{'a': 1}", "[1,]", "a", "", "01", "{} x"))
    json_("numbers JSON does not have", s("NaN", "Infinity", "-Infinity", "1e400"))
    json_("space around", s("  {} ", "\n1\n"))
    json_("a key twice", s('{"a": 1, "a": 2}'))
    json_("lone surrogate", s('"\\ud800"', '"\\u00e9"'))
    json_("control character in text", s('"a\tb"', '"a\\tb"'))
    json_("nulls are left out", s("{}", None, "{"))
    json_("all null", snone)
    json_("no rows", sempty)
    json_("mostly at the edge", s("1", "2", "3", "x"), mostly=0.75)
    json_("of integers", i64(1))
    E = gxe.ExpectColumnValuesToMatchJsonSchema
    person = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}

    def schema(name, column, **kw):
        case("json schema: " + name, E, {"x": column}, column="x", **kw)

    schema("objects", s('{"age": 3}', '{"age": -1}', '{"age": 3.0}', '{"age": "3"}', "{}", "3"), json_schema=person)
    schema("all match", s('{"age": 3, "more": 1}'), json_schema=person)
    schema("not JSON", s('{"age": 3}', "{"), json_schema=person)
    schema("nulls are left out", s('{"age": 3}', None), json_schema=person)
    schema("all null", snone, json_schema=person)
    schema("no rows", sempty, json_schema=person)
    schema("mostly at the edge", s('{"age": 1}', '{"age": 2}', '{"age": 3}', "{}"), json_schema=person, mostly=0.75)
    schema("enum and const", s('"a"', '"b"', '"c"'), json_schema={"enum": ["a", "b"]})
    schema("arrays", s("[1, 2]", "[1, 1]", "[]", "[1, 2, 3]"), json_schema={"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True})
    schema("text", s('"ab"', '"abc"', '"xab"', "1"), json_schema={"type": "string", "maxLength": 3, "pattern": "^a"})
    schema("no more properties", s('{"a": 1}', '{"a": 1, "b": 2}'), json_schema={"properties": {"a": {}}, "additionalProperties": False})
    schema("any of", s("1", '"a"', "true"), json_schema={"anyOf": [{"type": "integer"}, {"type": "string"}]})
    schema("a bool is no integer", s("true", "1"), json_schema={"type": "integer"})
    schema("true schema", s("1"), json_schema=True)
    schema("not a schema", s("1"), json_schema={"type": "no such type"})
    schema("inner reference", s("1", "-1"), json_schema={"$ref": "#/definitions/p", "definitions": {"p": {"minimum": 0}}})

    # Z scores and outliers
    E = gxe.ExpectColumnValueZScoresToBeLessThan
    spike = f64(*([1.0, 2.0, 3.0] * 4 + [40.0]))
    dip = f64(*([1.0, 2.0, 3.0] * 4 + [-40.0]))

    def zscore(name, column, **kw):
        case("z score: " + name, E, {"x": column}, column="x", **kw)

    zscore("spike", spike, threshold=3, double_sided=True)
    zscore("spike, one side", spike, threshold=3, double_sided=False)
    zscore("dip", dip, threshold=3, double_sided=True)
    zscore("dip, one side passes", dip, threshold=3, double_sided=False)
    zscore("wide threshold", spike, threshold=5, double_sided=True)
    zscore("exactly the threshold", f64(-1.0, 0.0, 1.0), threshold=1, double_sided=True)
    zscore("nulls are left out", f64(1.0, None, 2.0, None, 3.0), threshold=0.9, double_sided=True)
    zscore("constant", f64(2.0, 2.0, 2.0), threshold=1, double_sided=True)
    zscore("one row", f64(2.0), threshold=1, double_sided=True)
    zscore("all null", fnone, threshold=1, double_sided=True)
    zscore("no rows", fempty, threshold=1, double_sided=True)
    zscore("negative threshold, one side", f64(1.0, 2.0, 3.0), threshold=-0.5, double_sided=False)
    zscore("negative threshold, two sides", f64(1.0, 2.0, 3.0), threshold=-0.5, double_sided=True)
    zscore("integers", i64(1, 2, 3, 4, 100), threshold=1.5, double_sided=True)
    zscore("infinity", f64(1.0, 2.0, INF), threshold=1, double_sided=True)
    zscore("mostly at the edge", f64(-1.0, 0.0, 0.0, 3.0), threshold=1, double_sided=True, mostly=0.75)
    zscore("text", s("1", "2"), threshold=1, double_sided=True)
    E = gxe.ExpectColumnValuesToNotBeOutliers

    def outliers(name, column, **kw):
        case("outliers: " + name, E, {"x": column}, column="x", **kw)

    outliers("default", spike)
    outliers("quartiles", spike, method="iqr", multiplier=1.5)
    outliers("quartiles, exactly on the fence", f64(0.0, 1.0, 2.0, 3.0, 6.0), method="iqr", multiplier=1.5)
    outliers("quartiles, just beyond", f64(0.0, 1.0, 2.0, 3.0, 6.01), method="iqr", multiplier=1.5)
    outliers("quartiles between values", f64(1.0, 2.0, 3.0, 10.0), method="iqr", multiplier=1.0)
    outliers("deviations", spike, method="std", multiplier=3)
    outliers("deviations, exactly on the edge", f64(-1.0, 0.0, 1.0), method="std", multiplier=1)
    outliers("constant", f64(2.0, 2.0, 2.0), method="std", multiplier=1)
    outliers("constant but one, quartiles", f64(2.0, 2.0, 2.0, 2.0, 2.1), method="iqr", multiplier=1.5)
    outliers("nulls are left out", f64(1.0, None, 2.0, 3.0, None, 50.0), method="iqr", multiplier=1.5)
    outliers("one row", f64(2.0), method="std", multiplier=1)
    outliers("one row, quartiles", f64(2.0), method="iqr", multiplier=1)
    outliers("all null", fnone)
    outliers("no rows", fempty)
    outliers("infinity", f64(1.0, 2.0, 3.0, 4.0, INF), method="iqr", multiplier=1.5)
    outliers("infinity, deviations", f64(1.0, 2.0, INF), method="std", multiplier=1)
    outliers("NaN", f64(1.0, 2.0, 3.0, NAN, 50.0), method="iqr", multiplier=1.5)
    outliers("mostly at the edge", f64(1.0, 2.0, 3.0, 50.0), method="iqr", multiplier=0.5, mostly=0.75)
    outliers("multiplier 0", f64(1.0, 2.0, 3.0), method="std", multiplier=0)
    outliers("negative multiplier", f64(1.0, 2.0, 3.0), method="std", multiplier=-1)
    outliers("unknown method", f64(1.0, 2.0, 3.0), method="mad", multiplier=1)
    outliers("text", s("1", "2"), method="std", multiplier=1)

    # Aggregates with bounds
    def bounds(label, kind, columns):
        for name, column, kw in columns:
            case(f"{label}: {name}", kind, {"x": column}, column="x", **kw)

    lo_hi = lambda lo, hi: {"min_value": lo, "max_value": hi}
    common = lambda lo, hi: [
        ("inside", f64(1.0, 2.0, 4.0), lo_hi(lo, hi)),
        ("nulls are left out", f64(1.0, None, 2.0, 4.0), lo_hi(lo, hi)),
        ("integers", i64(1, 2, 4), lo_hi(lo, hi)),
        ("no bound at all", f64(1.0, 2.0, 4.0), {}),
        ("too small", f64(1.0, 2.0, 4.0), {"min_value": hi + 1}),
        ("too large", f64(1.0, 2.0, 4.0), {"max_value": lo - 1}),
        ("all null", fnone, lo_hi(lo, hi)),
        ("all null, no bound", fnone, {}),
        ("no rows", fempty, lo_hi(lo, hi)),
        ("one row", f64(2.0), lo_hi(2, 2)),
        ("one row, strictly", f64(2.0), {"min_value": 2, "max_value": 2, "strict_min": True}),
        ("NaN", f64(1.0, NAN, 4.0), lo_hi(lo, hi)),
        ("infinity", f64(1.0, INF), lo_hi(lo, hi)),
        ("text", s("1", "2"), lo_hi(lo, hi)),
        ("bools", b(True, True, False), lo_hi(0, 1)),
    ]
    strict = lambda v: [
        ("strict minimum at the value", f64(1.0, 2.0, 4.0), {"min_value": v, "strict_min": True}),
        ("strict maximum at the value", f64(1.0, 2.0, 4.0), {"max_value": v, "strict_max": True}),
        ("bounds at the value", f64(1.0, 2.0, 4.0), lo_hi(v, v)),
    ]
    days = ts("2024-01-01T00:00:00", None, "2024-03-01T00:00:00")
    bounds("max", gxe.ExpectColumnMaxToBeBetween, common(3, 5) + strict(4.0) + [
        ("timestamps", days, {"max_value": when("2024-02-01T00:00:00")}),
        ("timestamps against text", days, {"max_value": "2024-04-01"}),
        ("dates", date("2024-01-01", "2024-03-01"), {"min_value": when("2024-02-01T00:00:00")}),
        ("texts", s("a", "b"), {"max_value": "b"}),
        ("text against text", s("b", "a", None), {"min_value": "c"}),
    ])
    bounds("min", gxe.ExpectColumnMinToBeBetween, common(0, 2) + strict(1.0) + [
        ("timestamps", days, {"min_value": when("2024-01-01T00:00:00")}),
        ("timestamps, strictly", days, {"min_value": when("2024-01-01T00:00:00"), "strict_min": True}),
        ("timestamps with a zone", tsz("2024-01-01T00:00:00+00:00"), {"min_value": when("2024-01-01T01:00:00+02:00")}),
        ("text against text", s("b", "a", None), {"min_value": "a"}),
    ])
    bounds("mean", gxe.ExpectColumnMeanToBeBetween, common(2, 3) + strict(7 / 3) + [
        ("opposite infinities", f64(INF, -INF), lo_hi(0, 1)),
        ("tenths", f64(*[0.1] * 10), lo_hi(0.1, 0.1)),
        ("large values that overflow a sum", f64(1e308, 1e308), {"max_value": 1.1e308}),
    ])
    bounds("median", gxe.ExpectColumnMedianToBeBetween, common(1, 3) + strict(2.0) + [
        ("even count", i64(1, 2, 3, 10), lo_hi(2.5, 2.5)),
        ("even count with null", i64(1, None, 2), lo_hi(1.5, 1.5)),
    ])
    bounds("stdev", gxe.ExpectColumnStdevToBeBetween, common(1, 2) + strict(1.5275252316519468) + [
        ("of the sample", f64(1.0, 2.0, 3.0), lo_hi(1.0, 1.0)),
        ("constant", f64(2.0, 2.0), lo_hi(0, 0)),
        ("constant, strictly above 0", f64(2.0, 2.0), {"min_value": 0, "strict_min": True}),
        ("shifted far", f64(1e9 + 1, 1e9 + 2, 1e9 + 3), lo_hi(1.0, 1.0)),
    ])
    bounds("sum", gxe.ExpectColumnSumToBeBetween, common(6, 8) + strict(7.0) + [
        ("integers beyond 2^53", i64(2**53, 1), lo_hi(2**53 + 1, 2**53 + 1)),
        ("cancelling", f64(1e16, 1.0, -1e16), lo_hi(0, 1)),
    ])
    bounds("unique count", gxe.ExpectColumnUniqueValueCountToBeBetween, [
        ("duplicates once", i64(1, 1, 2), lo_hi(2, 2)),
        ("nulls do not count", i64(1, None, None), lo_hi(1, 1)),
        ("all null", none, lo_hi(0, 0)),
        ("no rows", empty, lo_hi(0, 0)),
        ("one row", i64(1), lo_hi(1, 1)),
        ("strict minimum", i64(1, 2), {"min_value": 2, "strict_min": True}),
        ("strict maximum", i64(1, 2), {"max_value": 2, "strict_max": True}),
        ("too few", i64(1, 1), {"min_value": 2}),
        ("no bound at all", i64(1, 1), {}),
        ("the two zeros", f64(0.0, -0.0), lo_hi(1, 1)),
        ("NaN", f64(NAN, NAN, 1.0), lo_hi(1, 2)),
        ("text", s("a", "A", "a"), lo_hi(2, 2)),
        ("timestamps", days, lo_hi(2, 2)),
        ("bools", b(True, False, True), lo_hi(2, 2)),
    ])
    bounds("proportion unique", gxe.ExpectColumnProportionOfUniqueValuesToBeBetween, [
        ("distinct over values", i64(1, 1, 2, 3), lo_hi(0.75, 0.75)),
        ("nulls do not count", i64(1, 1, 2, None, None), lo_hi(0.6, 0.7)),
        ("all null", none, lo_hi(0, 1)),
        ("no rows", empty, lo_hi(0, 1)),
        ("one row", i64(1), lo_hi(1, 1)),
        ("strict minimum", i64(1, 1), {"min_value": 0.5, "strict_min": True}),
        ("strict maximum", i64(1, 2), {"max_value": 1, "strict_max": True}),
        ("no bound at all", i64(1, 1), {}),
        ("bound above one", i64(1, 2), {"max_value": 1.5}),
        ("NaN", f64(NAN, NAN, 1.0), lo_hi(0, 1)),
        ("text", s("a", "a", "b", "c"), {"min_value": 0.8}),
    ])
    bounds("proportion non-null", gxe.ExpectColumnProportionOfNonNullValuesToBeBetween, [
        ("some missing", gaps, lo_hi(0.6, 0.6)),
        ("none missing", ten, lo_hi(1, 1)),
        ("all missing", none, lo_hi(0, 0)),
        ("no rows", empty, lo_hi(0, 1)),
        ("no rows, at least half", empty, {"min_value": 0.5}),
        ("strict minimum", gaps, {"min_value": 0.6, "strict_min": True}),
        ("strict maximum", gaps, {"max_value": 0.6, "strict_max": True}),
        ("no bound at all", gaps, {}),
        ("NaN", f64(1.0, NAN, None, 2.0), lo_hi(0.5, 0.75)),
        ("empty text is a value", s("", None), lo_hi(0.5, 0.5)),
    ])

    # Quantiles
    E = gxe.ExpectColumnQuantileValuesToBeBetween

    def quantiles(name, column, qs, ranges, **kw):
        case("quantiles: " + name, E, {"x": column}, column="x", quantile_ranges={"quantiles": qs, "value_ranges": ranges}, **kw)

    quantiles("three of ten", ten, [0.25, 0.5, 0.75], [[2, 2], [4, 5], [7, 7]])
    quantiles("nearest by default, half way", i64(1, 2, 3, 4), [0.5], [[2, 3]])
    quantiles("one out of range", ten, [0.1, 0.9], [[0, 1], [0, 1]])
    quantiles("open ends", ten, [0.1, 0.9], [[None, 1], [8, None]])
    quantiles("both ends open", ten, [0.5], [[None, None]])
    quantiles("ends", ten, [0.0, 1.0], [[0, 0], [9, 9]])
    quantiles("unsorted", ten, [0.9, 0.1], [[8, 8], [1, 1]])
    quantiles("nulls are left out", i64(None, 1, 2, None, 3), [0.5], [[2, 2]])
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        quantiles(f"{how}", i64(1, 2, 3, 10), [0.1, 0.5, 0.8], [[0, 10]] * 3, allow_relative_error=how)
    quantiles("relative error as a number", ten, [0.5], [[4, 5]], allow_relative_error=0.1)
    quantiles("relative error true", ten, [0.5], [[4, 5]], allow_relative_error=True)
    quantiles("unknown interpolation", ten, [0.5], [[4, 5]], allow_relative_error="best")
    quantiles("all null", fnone, [0.5], [[0, 1]])
    quantiles("no rows", fempty, [0.5], [[0, 1]])
    quantiles("one row", f64(3.0), [0.1, 0.9], [[3, 3], [3, 3]])
    quantiles("beyond one", ten, [1.5], [[0, 9]])
    quantiles("lengths differ", ten, [0.1, 0.9], [[0, 9]])
    quantiles("range turned round", ten, [0.5], [[5, 4]])
    quantiles("no quantile", ten, [], [])
    quantiles("infinity", f64(1.0, 2.0, INF), [0.5, 1.0], [[2, 2], [0, None]])
    quantiles("NaN", f64(1.0, NAN, 3.0), [1.0], [[3, 3]])
    quantiles("text", s("a", "b", "c"), [0.5], [["b", "b"]])
    quantiles("half of six, nearest", i64(0, 1, 2, 3, 4, 5), [0.5, 0.1, 0.3], [[2, 3], [0, 1], [1, 2]])

    # Most common
    E = gxe.ExpectColumnMostCommonValueToBeInSet

    def mode(name, column, **kw):
        case("most common: " + name, E, {"x": column}, column="x", **kw)

    mode("one mode in", s("a", "a", "b"), value_set=["a"])
    mode("one mode out", s("a", "a", "b"), value_set=["b"])
    mode("tie, both in", s("a", "b"), value_set=["a", "b"])
    mode("tie, ties okay, one in", s("a", "b", "c"), value_set=["a"], ties_okay=True)
    mode("tie, ties not okay, all in", s("a", "b"), value_set=["a", "b"], ties_okay=False)
    mode("tie, ties okay, none in", s("a", "b"), value_set=["z"], ties_okay=True)
    mode("tie, by default, one in", s("a", "b"), value_set=["a"])
    mode("null is the commonest", s("a", None, None), value_set=["a"])
    mode("all null", snone, value_set=["a"])
    mode("no rows", sempty, value_set=["a"])
    mode("empty set", s("a"), value_set=[])
    mode("no set", s("a"), value_set=None)
    mode("integers", i64(3, 3, 1), value_set=[3.0])
    mode("integers against text", i64(3, 3, 1), value_set=["3"])
    mode("NaN", f64(NAN, NAN, 1.0), value_set=[1.0])

    # Distinct values
    I, C, Q = gxe.ExpectColumnDistinctValuesToBeInSet, gxe.ExpectColumnDistinctValuesToContainSet, gxe.ExpectColumnDistinctValuesToEqualSet
    for kind, label in [(I, "in"), (C, "contain"), (Q, "equal")]:
        def distinct(name, column, **kw):
            case(f"distinct {label}: {name}", kind, {"x": column}, column="x", **kw)

        distinct("same", i64(1, 2, 2), value_set=[1, 2])
        distinct("set larger", i64(1, 2), value_set=[1, 2, 3])
        distinct("set smaller", i64(1, 2, 3), value_set=[1, 2])
        distinct("nulls are left out", i64(1, None), value_set=[1])
        distinct("null in the set", i64(1, None), value_set=[1, None])
        distinct("all null", none, value_set=[1])
        distinct("no rows", empty, value_set=[1])
        distinct("no rows, empty set", empty, value_set=[])
        distinct("empty set", i64(1), value_set=[])
        distinct("no set", i64(1), value_set=None)
        distinct("integers as floats", i64(1, 2), value_set=[1.0, 2.0])
        distinct("text as integers", s("1", "2"), value_set=[1, 2])
        distinct("text", s("a", "b", "a"), value_set=["b", "a"])
        distinct("bools as integers", b(True, False), value_set=[0, 1])
        distinct("twice in the set", i64(1, 2), value_set=[1, 1, 2])
        distinct("timestamps", ts("2024-01-01T00:00:00", "2024-01-02T00:00:00"), value_set=[when("2024-01-01T00:00:00"), when("2024-01-02T00:00:00")])
        distinct("timestamps as text", ts("2024-01-01T00:00:00"), value_set=["2024-01-01"])
        distinct("NaN", f64(1.0, NAN), value_set=[1.0])

    # Kullback-Leibler divergence
    E = gxe.ExpectColumnKLDivergenceToBeLessThan

    def kl(name, column, **kw):
        case("divergence: " + name, E, {"x": column}, column="x", **kw)

    abc = {"values": ["a", "b", "c"], "weights": [0.5, 0.3, 0.2]}
    letters = s(*"aaaaabbbcc")
    kl("categories, same", letters, partition_object=abc, threshold=0.0)
    kl("categories, near", s(*"aaaabbbbcc"), partition_object=abc, threshold=0.1)
    kl("categories, far", s(*"abbbbbcccc"), partition_object=abc, threshold=0.1)
    kl("categories, expected one missing", s(*"aaabb"), partition_object=abc, threshold=1.0)
    kl("categories, new one", s(*"aabbccd"), partition_object=abc, threshold=1.0)
    kl("categories, new one, tail holdout", s(*"aabbccd"), partition_object=abc, threshold=1.0, tail_weight_holdout=0.1)
    kl("categories, two new, tail holdout", s(*"aabbccde"), partition_object=abc, threshold=1.0, tail_weight_holdout=0.1)
    kl("categories, nothing new, tail holdout", letters, partition_object=abc, threshold=1.0, tail_weight_holdout=0.1)
    kl("categories, nulls are left out", s("a", "a", None, "b", "c"), partition_object=abc, threshold=1.0)
    kl("categories, internal holdout is refused", letters, partition_object=abc, threshold=1.0, internal_weight_holdout=0.1)
    kl("categories, no threshold", letters, partition_object=abc)
    kl("categories, threshold is met", s(*"aaaabbbbcc"), partition_object=abc, threshold=0.02)
    kl("categories, weights that do not sum to one", letters, partition_object={"values": ["a", "b"], "weights": [0.5, 0.3]}, threshold=1.0)
    kl("categories, integers", i64(1, 1, 2), partition_object={"values": [1, 2], "weights": [0.5, 0.5]}, threshold=1.0)
    kl("categories, all null", snone, partition_object=abc, threshold=1.0)
    kl("categories, no rows", sempty, partition_object=abc, threshold=1.0)
    bins = {"bins": [0, 1, 2, 3], "weights": [0.2, 0.5, 0.3]}
    spread = f64(0.1, 0.9, 1.0, 1.2, 1.5, 1.9, 1.99, 2.0, 2.5, 3.0)
    kl("bins, same, last edge inside", spread, partition_object=bins, threshold=0.0001)
    kl("bins, outside without tails", f64(-1.0, 0.5, 1.5, 2.5), partition_object=bins, threshold=5.0)
    tails = {"bins": [0, 1, 2], "weights": [0.4, 0.4], "tail_weights": [0.1, 0.1]}
    kl("bins, with tails", f64(-1.0, 0.5, 0.6, 1.5, 1.6, 7.0), partition_object=tails, threshold=0.5)
    kl("bins, tails and holdout are refused", f64(0.5), partition_object=tails, threshold=0.5, tail_weight_holdout=0.1)
    kl("bins, tail holdout", f64(-1.0, 0.5, 1.5, 2.5, 9.0), partition_object=bins, threshold=5.0, tail_weight_holdout=0.1)
    kl("bins, internal holdout", f64(0.5, 1.5, 2.5), partition_object={"bins": [0, 1, 2, 3], "weights": [0.5, 0.0, 0.5]}, threshold=5.0, internal_weight_holdout=0.1)
    kl("bins, empty expected bin", f64(0.5, 1.5, 2.5), partition_object={"bins": [0, 1, 2, 3], "weights": [0.5, 0.0, 0.5]}, threshold=5.0)
    kl("bins, both ends open", f64(-9.0, 0.5, 9.0), partition_object={"bins": [-INF, 0, 1, INF], "weights": [0.3, 0.4, 0.3]}, threshold=5.0)
    kl("bins, lower end open", f64(-9.0, 0.5, 1.5), partition_object={"bins": [-INF, 0, 1, 2], "weights": [0.3, 0.4, 0.3]}, threshold=5.0)
    kl("bins, upper end open", f64(0.5, 1.5, 9.0), partition_object={"bins": [0, 1, 2, INF], "weights": [0.3, 0.4, 0.3]}, threshold=5.0)
    kl("bins, nulls are left out", f64(0.5, None, 1.5, 2.5), partition_object=bins, threshold=5.0)
    kl("bins, integers", i64(0, 1, 1, 2, 3), partition_object=bins, threshold=5.0)
    kl("bins, bucketize off is refused", f64(0.5), partition_object=bins, threshold=5.0, bucketize_data=False)
    kl("bins, not ascending", f64(0.5), partition_object={"bins": [0, 2, 1], "weights": [0.5, 0.5]}, threshold=5.0)
    kl("bins, all null", fnone, partition_object=bins, threshold=5.0)
    kl("no partition, no threshold", spread)
    kl("no partition, no threshold, no buckets", letters, bucketize_data=False)
    kl("negative threshold", letters, partition_object=abc, threshold=-0.1)
    kl("bounds in place of a threshold", letters, partition_object=abc, min_value=0, max_value=0.1)

    # Pairs
    A = gxe.ExpectColumnPairValuesAToBeGreaterThanB
    P = gxe.ExpectColumnPairValuesToBeEqual
    S = gxe.ExpectColumnPairValuesToBeInSet
    sides = {"a": i64(1, 5, 3, None, 4, None), "b": i64(0, 5, 9, 2, None, None)}
    modes = ("both_values_are_missing", "either_value_is_missing", "neither")

    def pair(kind, label, name, columns, **kw):
        case(f"{label}: {name}", kind, columns, column_A="a", column_B="b", **kw)

    for kind, label, more in [(A, "greater", {}), (P, "pair equal", {}), (S, "pair in set", {"value_pairs_set": [(1, 0), (5, 5), (3, 9)]})]:
        pair(kind, label, "missing sides by default", sides, **more)
        for how in modes:
            pair(kind, label, f"missing sides, {how}", sides, ignore_row_if=how, **more)
        pair(kind, label, "missing sides, mode of the many-column kind", sides, ignore_row_if="any_value_is_missing", **more)
        pair(kind, label, "all null", {"a": none, "b": none}, **more)
        pair(kind, label, "no rows", {"a": empty, "b": empty}, **more)
        pair(kind, label, "one row", {"a": i64(5), "b": i64(5)}, **more)
        pair(kind, label, "mostly of the rows kept", {"a": i64(5, 5, 5, 1, None, None), "b": i64(5, 5, 5, 7, None, None)}, mostly=0.75, **more)
        pair(kind, label, "mostly missed", {"a": i64(5, 5, 5, 1, None, None), "b": i64(5, 5, 5, 7, None, None)}, mostly=0.76, **more)
    pair(A, "greater", "strictly by default", {"a": i64(2, 2, 1), "b": i64(1, 2, 2)})
    pair(A, "greater", "or equal", {"a": i64(2, 2, 1), "b": i64(1, 2, 2)}, or_equal=True)
    pair(A, "greater", "or equal, missing sides", sides, or_equal=True)
    pair(A, "greater", "integers and floats", {"a": i64(2, 2), "b": f64(1.5, 2.0)})
    pair(A, "greater", "timestamps", {"a": ts("2024-01-02T00:00:00", "2024-01-01T00:00:00"), "b": ts("2024-01-01T00:00:00", "2024-01-01T00:00:00")})
    pair(A, "greater", "dates", {"a": date("2024-01-02", "2024-01-01"), "b": date("2024-01-01", "2024-01-03")})
    pair(A, "greater", "texts", {"a": s("b", "a"), "b": s("a", "b")})
    pair(A, "greater", "text against numbers", {"a": s("2"), "b": i64(1)})
    pair(A, "greater", "NaN", {"a": f64(NAN, 1.0), "b": f64(0.0, NAN)})
    pair(A, "greater", "infinities", {"a": f64(INF, INF, 0.0), "b": f64(0.0, INF, -INF)})
    pair(A, "greater", "a column with itself", {"a": i64(1), "b": i64(1)})
    pair(P, "pair equal", "integers and floats", {"a": i64(1, 2), "b": f64(1.0, 2.5)})
    pair(P, "pair equal", "integers and bools", {"a": i64(1, 0, 2), "b": b(True, False, True)})
    pair(P, "pair equal", "text and numbers", {"a": s("1"), "b": i64(1)})
    pair(P, "pair equal", "texts", {"a": s("a", "A", ""), "b": s("a", "a", None)})
    pair(P, "pair equal", "NaN", {"a": f64(NAN, 1.0), "b": f64(NAN, 1.0)})
    pair(P, "pair equal", "the two zeros", {"a": f64(0.0), "b": f64(-0.0)})
    pair(P, "pair equal", "timestamps", {"a": ts("2024-01-01T00:00:00"), "b": ts("2024-01-01T00:00:00.000001")})
    pair(S, "pair in set", "order matters", {"a": i64(1, 2), "b": i64(2, 1)}, value_pairs_set=[(1, 2)])
    pair(S, "pair in set", "null in a pair", {"a": i64(1, None, 2), "b": i64(None, 1, 2)}, value_pairs_set=[(1, None), (2, 2)])
    pair(S, "pair in set", "no set", {"a": i64(1), "b": i64(2)}, value_pairs_set=None)
    pair(S, "pair in set", "empty set", {"a": i64(1), "b": i64(2)}, value_pairs_set=[])
    pair(S, "pair in set", "text and numbers", {"a": s("x", "y"), "b": i64(1, 2)}, value_pairs_set=[("x", 1), ("y", 3)])
    pair(S, "pair in set", "floats of integers", {"a": i64(1), "b": i64(2)}, value_pairs_set=[(1.0, 2.0)])
    pair(S, "pair in set", "a triple", {"a": i64(1), "b": i64(2)}, value_pairs_set=[(1, 2, 3)])

    # Several columns
    many = {"a": i64(1, 1, 1, None, None, 2), "b": i64(2, 2, None, None, 3, 2), "c": i64(3, 3, 3, None, 3, 2)}
    U = gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord
    K = gxe.ExpectCompoundColumnsToBeUnique
    T = gxe.ExpectMulticolumnSumToEqual
    V = gxe.ExpectMulticolumnValuesToBeEqual
    W = gxe.ExpectMulticolumnValuesToBeUnique

    def multi(kind, label, name, columns, **kw):
        case(f"{label}: {name}", kind, columns, column_list=list(columns), **kw)

    for kind, label, more in [(K, "compound unique", {}), (U, "unique within record", {}), (T, "sum of columns", {"sum_total": 6}), (V, "columns equal", {}), (W, "columns unique (old name)", {})]:
        multi(kind, label, "missing by default", many, **more)
        for how in ("all_values_are_missing", "any_value_is_missing", "never"):
            multi(kind, label, f"missing, {how}", many, ignore_row_if=how, **more)
        if kind is W:
            continue
        multi(kind, label, "missing, mode of the pair kind", many, ignore_row_if="either_value_is_missing", **more)
        multi(kind, label, "all null", {"a": none, "b": none}, **more)
        multi(kind, label, "no rows", {"a": empty, "b": empty}, **more)
        multi(kind, label, "one row", {"a": i64(3), "b": i64(3)}, **more)
        multi(kind, label, "one column", {"a": i64(6, 6)}, **more)
        multi(kind, label, "mostly at the edge", {"a": i64(1, 2, 3, 1), "b": i64(5, 4, 3, 5)}, mostly=0.75, **more)
        multi(kind, label, "mostly missed", {"a": i64(1, 2, 3, 1), "b": i64(5, 4, 3, 5)}, mostly=0.9, **more)
    multi(K, "compound unique", "every member of a group counts", {"a": i64(1, 1, 1, 2), "b": s("x", "x", "x", "x")})
    multi(K, "compound unique", "a null forms a group", {"a": i64(1, 1, None, None), "b": i64(None, None, 2, 2)})
    multi(K, "compound unique", "pairs apart", {"a": s("ab", "a"), "b": s("c", "bc")})
    multi(K, "compound unique", "NaN", {"a": f64(NAN, NAN), "b": i64(1, 1)})
    multi(U, "unique within record", "three kinds of row", {"a": i64(1, 1, 1), "b": i64(2, 1, 2), "c": i64(3, 3, 2)})
    multi(U, "unique within record", "texts", {"a": s("x", "x"), "b": s("X", "x")})
    multi(U, "unique within record", "integers and floats", {"a": i64(1), "b": f64(1.0)})
    multi(U, "unique within record", "text and numbers", {"a": s("1"), "b": i64(1)})
    multi(U, "unique within record", "two nulls", {"a": i64(None, 1), "b": i64(None, 2), "c": i64(1, 3)})
    multi(T, "sum of columns", "floats that miss by a bit", {"a": f64(0.1), "b": f64(0.2)}, sum_total=0.3)
    multi(T, "sum of columns", "floats", {"a": f64(0.5, 0.25), "b": f64(0.5, 0.25)}, sum_total=1.0)
    multi(T, "sum of columns", "a null side is", {"a": i64(6, None), "b": i64(None, 6)}, sum_total=6)
    multi(T, "sum of columns", "texts", {"a": s("1"), "b": s("2")}, sum_total=3)
    multi(T, "sum of columns", "infinities", {"a": f64(INF, INF), "b": f64(1.0, -INF)}, sum_total=1)
    multi(V, "columns equal", "texts", {"a": s("x", "x"), "b": s("x", "y")})
    multi(V, "columns equal", "integers and floats", {"a": i64(1, 2), "b": f64(1.0, 2.5)})
    multi(V, "columns equal", "NaN", {"a": f64(NAN), "b": f64(NAN)})

    # Tables
    abc3 = {"a": i64(1, 2, 3), "b": s("x", "y", "z"), "c": f64(0.1, 0.2, 0.3)}
    nothing = {"a": empty, "b": sempty}

    def table(kind, label, name, columns, **kw):
        case(f"{label}: {name}", kind, columns, **kw)

    O = gxe.ExpectTableColumnsToMatchOrderedList
    table(O, "ordered columns", "same", abc3, column_list=["a", "b", "c"])
    table(O, "ordered columns", "other order", abc3, column_list=["a", "c", "b"])
    table(O, "ordered columns", "one missing", abc3, column_list=["a", "b", "c", "d"])
    table(O, "ordered columns", "one more", abc3, column_list=["a", "b"])
    table(O, "ordered columns", "case", abc3, column_list=["A", "b", "c"])
    table(O, "ordered columns", "empty list", abc3, column_list=[])
    table(O, "ordered columns", "no list", abc3, column_list=None)
    table(O, "ordered columns", "no rows", nothing, column_list=["a", "b"])
    table(O, "ordered columns", "a name twice", abc3, column_list=["a", "a", "b", "c"])
    M = gxe.ExpectTableColumnsToMatchSet
    table(M, "column set", "same in another order", abc3, column_set=["c", "b", "a"])
    table(M, "column set", "one missing", abc3, column_set=["a", "b", "c", "d"])
    table(M, "column set", "one more", abc3, column_set=["a", "b"])
    table(M, "column set", "one more, not exact", abc3, column_set=["a", "b"], exact_match=False)
    table(M, "column set", "one missing, not exact", abc3, column_set=["a", "d"], exact_match=False)
    table(M, "column set", "exact by word", abc3, column_set=["a", "b", "c"], exact_match=True)
    table(M, "column set", "case", abc3, column_set=["A", "b", "c"])
    table(M, "column set", "empty set", abc3, column_set=[])
    table(M, "column set", "empty set, not exact", abc3, column_set=[], exact_match=False)
    table(M, "column set", "no set", abc3, column_set=None)
    table(M, "column set", "no rows", nothing, column_set=["a", "b"])
    table(M, "column set", "a name twice", abc3, column_set=["a", "a", "b", "c"])
    X = gxe.ExpectColumnToExist
    table(X, "column exists", "yes", abc3, column="b")
    table(X, "column exists", "no", abc3, column="z")
    table(X, "column exists", "case", abc3, column="B")
    table(X, "column exists", "at its place", abc3, column="b", column_index=1)
    table(X, "column exists", "at another place", abc3, column="b", column_index=0)
    table(X, "column exists", "negative place", abc3, column="c", column_index=-1)
    table(X, "column exists", "place beyond", abc3, column="c", column_index=9)
    table(X, "column exists", "no rows", nothing, column="a")
    N = gxe.ExpectTableColumnCountToEqual
    for v in (3, 2, 0, -1, 3.0):
        table(N, "column count", f"three columns against {v}", abc3, value=v)
    table(N, "column count", "no rows", nothing, value=2)
    N = gxe.ExpectTableColumnCountToBeBetween
    for lo, hi in [(1, 3), (3, 3), (4, None), (None, 2), (None, None), (3, 1)]:
        table(N, "column count between", f"three columns in {lo}, {hi}", abc3, min_value=lo, max_value=hi)
    N = gxe.ExpectTableRowCountToEqual
    for v in (3, 2, 0, -1):
        table(N, "row count", f"three rows against {v}", abc3, value=v)
    table(N, "row count", "no rows against 0", nothing, value=0)
    table(N, "row count", "rows of nulls count", {"a": none}, value=3)
    N = gxe.ExpectTableRowCountToBeBetween
    for lo, hi in [(1, 3), (3, 3), (4, None), (None, 2), (None, None), (3, 1)]:
        table(N, "row count between", f"three rows in {lo}, {hi}", abc3, min_value=lo, max_value=hi)
    table(N, "row count between", "strict minimum", abc3, min_value=3, strict_min=True)
    table(N, "row count between", "strict maximum", abc3, max_value=3, strict_max=True)
    table(N, "row count between", "no rows", nothing, min_value=0, max_value=0)
    table(N, "row count between", "no rows, at least one", nothing, min_value=1)

    # What takes SQL
    E = gxe.ExpectTableRowCountToEqualOtherTable
    case("other table: on pandas", E, {"x": ten}, other_table_name="other")
    case("other table: same", E, {"x": i64(1, 2)}, on=SQL, tables={"other": {"y": s("a", "b")}}, other_table_name="other")
    case("other table: longer", E, {"x": i64(1, 2)}, on=SQL, tables={"other": {"y": s("a", "b", "c")}}, other_table_name="other")
    case("other table: both empty", E, {"x": empty}, on=SQL, tables={"other": {"y": sempty}}, other_table_name="other")
    case("other table: not there", E, {"x": i64(1)}, on=SQL, other_table_name="other")
    case("other table: itself", E, {"x": i64(1)}, on=SQL, other_table_name="frame")
    E = gxe.UnexpectedRowsExpectation
    people = {"name": s("ann", "bob", None, "dan"), "age": i64(30, -1, 40, None)}
    case("unexpected rows: on pandas", E, people, unexpected_rows_query="SELECT * FROM {batch} WHERE age < 0")
    case("unexpected rows: one", E, people, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE age < 0")
    case("unexpected rows: none", E, people, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE age > 99")
    case("unexpected rows: null is not unexpected", E, people, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE NOT age >= 0")
    case("unexpected rows: groups", E, {"k": s("a", "a", "b")}, on=SQL, unexpected_rows_query="SELECT k, COUNT(*) AS n FROM {batch} GROUP BY k HAVING COUNT(*) > 1")
    case("unexpected rows: no rows", E, {"age": empty}, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE age < 0")
    case("unexpected rows: not SQL", E, people, on=SQL, unexpected_rows_query="SELEKT * FROM {batch}")
    case("unexpected rows: a semicolon at the end", E, people, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE age < 0;")
    case("unexpected rows: unpaired brace", E, people, on=SQL, unexpected_rows_query="SELECT * FROM {batch")
    case("unexpected rows: with a row condition", E, {"age": i64(-1, 3)}, on=SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE age < 0", row_condition=Column("age") > 0)
    E = gxe.ExpectQueryResultsToMatchComparison
    case("query comparison: on pandas", E, {"x": ten}, base_query="SELECT 1", comparison_data_source_name="p", comparison_query="SELECT 1")

    def query(name, base, other, frame, theirs, **kw):
        case("query comparison: " + name, E, {"x": frame}, on=SQL, tables={"other": {"y": theirs}}, base_query=base, comparison_data_source_name="here", comparison_query=other, **kw)

    base, other = "SELECT x FROM {batch}", "SELECT y FROM other"
    query("same rows", base, other, i64(1, 2), i64(2, 1))
    query("one differs", base, other, i64(1, 2), i64(1, 3))
    query("duplicates are matched by count", base, other, i64(1, 1, 2), i64(1, 2, 2))
    query("longer base", base, other, i64(1, 2, 3), i64(1, 2))
    query("longer comparison", base, other, i64(1, 2), i64(1, 2, 3))
    query("nulls match", base, other, i64(1, None), i64(None, 1))
    query("both empty", base, other, empty, empty)
    query("one empty", base, other, empty, i64(1))
    query("mostly at the edge", base, other, i64(1, 2, 3, 4), i64(1, 2, 3, 5), mostly=0.75)
    query("mostly missed", base, other, i64(1, 2, 3, 4), i64(1, 2, 3, 5), mostly=0.76)
    query("mostly 0.9 at nine of ten", base, other, i64(*range(10)), i64(*range(9), 99), mostly=0.9)
    query("integers against floats", base, other, i64(1, 2), f64(1.0, 2.0))
    query("aggregates", "SELECT COUNT(*) FROM {batch}", "SELECT COUNT(*) FROM other", i64(1, 2), i64(5, 6))
