//! What other tools call the types of columns.

/// The type of a column by the name that pandas, numpy, polars, Spark or SQL have for it, as a
/// suite of ours writes it: an Arrow type where the name says the width, else a family.
pub(super) fn column_type(name: &str) -> Option<&'static str> {
    let lower = name.trim().to_ascii_lowercase();
    // The arguments of a type: `varchar(20)`, `string[pyarrow]`, `datetime64[ns, UTC]`.
    let bare = lower.split(['(', '[']).next().unwrap_or_default().trim();
    Some(match bare {
        "int8" | "int8dtype" => "Int8",
        "int16" | "int16dtype" => "Int16",
        "int32" | "int32dtype" => "Int32",
        "int64" | "int64dtype" => "Int64",
        "uint8" => "UInt8",
        "uint16" => "UInt16",
        "uint32" => "UInt32",
        "uint64" => "UInt64",
        "float16" => "Float16",
        "float32" => "Float32",
        "float64" | "double" | "doubletype" | "double precision" => "Float64",
        "int" | "integer" | "integertype" | "bigint" | "longtype" | "long" | "smallint"
        | "tinyint" | "shorttype" | "int_" => "integer",
        "float" | "floattype" | "real" | "decimal" | "decimaltype" | "numeric" | "number" => {
            "number"
        }
        "str" | "string" | "object" | "text" | "varchar" | "char" | "character varying"
        | "stringtype" | "utf8" | "str_" | "large_string" => "text",
        "bool" | "boolean" | "booleantype" | "bool_" => "boolean",
        "date" | "date32" | "datetype" => "date",
        "datetime" | "datetime64" | "timestamp" | "timestamptype" | "timestamptz" => "timestamp",
        _ if bare.starts_with("timestamp") => "timestamp",
        _ => return None,
    })
}
