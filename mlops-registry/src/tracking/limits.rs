//! What names and values may be: MLflow's limits, so that whatever is kept here can be sent there.

use mlops_core::{Error, Result};

/// The longest key of a metric, a parameter or a tag, in characters.
pub const KEY_CHARS: usize = 250;
/// The longest value of a parameter, in characters.
pub const PARAM_CHARS: usize = 6000;
/// The longest value of a run's tag, in characters.
pub const TAG_CHARS: usize = 8000;
/// The longest name of an experiment, in characters.
pub const EXPERIMENT_NAME_CHARS: usize = 500;
/// The longest value of an experiment's tag, in characters.
pub const EXPERIMENT_TAG_CHARS: usize = 5000;
/// The longest name of a run or a dataset, in characters.
pub const NAME_CHARS: usize = 250;
/// The longest id of a run, in bytes.
pub const RUN_ID_BYTES: usize = 256;
/// The longest source of a dataset: an address, a query.
pub const SOURCE_CHARS: usize = 65_535;
/// The most points, parameters and tags that one batch may have, each.
pub const BATCH_ITEMS: usize = 1_000_000;

/// At most so much of a hostile text is shown in an error.
const SHOWN_CHARS: usize = 60;

pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS).collect::<String>();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

/// A key: letters, digits, `_`, `-`, `.`, `:`, `/` and spaces, that is no path upwards.
pub(crate) fn check_key(what: &str, key: &str) -> Result<()> {
    let good = |c: char| c.is_alphanumeric() || "_-.:/ ".contains(c);
    let parts_are_good = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let blank = key.trim().is_empty();
    if key.chars().all(good) && parts_are_good && !blank && fits(key, KEY_CHARS) {
        return Ok(());
    }
    Err(Error::invalid(
        format!("key of the {what}"),
        format!(
            "letters, digits, `_`, `-`, `.`, `:`, `/` and spaces, at most {KEY_CHARS}, \
             without empty, `.` or `..` between slashes"
        ),
        shown(key),
    ))
}

/// The id of a run, which may come from the caller.
pub(crate) fn check_run_id(id: &str) -> Result<()> {
    let good = id.len() <= RUN_ID_BYTES
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if good {
        return Ok(());
    }
    Err(Error::invalid(
        "id of the run",
        format!("ASCII letters, digits, `_`, `-`, at most {RUN_ID_BYTES}, a letter or digit first"),
        shown(id),
    ))
}

/// A text for people on one line: not empty, no control characters.
pub(crate) fn check_line(what: &str, text: &str, most: usize) -> Result<()> {
    if !text.trim().is_empty() && !text.contains(char::is_control) && fits(text, most) {
        return Ok(());
    }
    Err(Error::invalid(what, format!("a text of one line, at most {most} characters"), shown(text)))
}

/// A value: any text that is not too long. PostgreSQL can't keep NUL, so nobody may.
pub(crate) fn check_value(what: impl Fn() -> String, text: &str, most: usize) -> Result<()> {
    if fits(text, most) && !text.contains('\0') {
        return Ok(());
    }
    let found = format!("{} characters", text.chars().count());
    let found = if text.contains('\0') { format!("{found}, one of them NUL") } else { found };
    Err(Error::invalid(what(), format!("at most {most} characters, none of them NUL"), found))
}

fn fits(text: &str, most: usize) -> bool {
    // A character has four bytes at most: the long way only where it matters.
    text.len() <= most || (text.len() <= 4 * most && text.chars().count() <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_mlflow() {
        for good in ["auc", "val/auc", "größe", "a b", "a:b", "x.y-z_0", "..a", &"k".repeat(250)]
        {
            assert!(check_key("metric", good).is_ok(), "{good}");
        }
        for bad in
            ["", " ", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/../b", "a\0", "a\n", "a%b"]
        {
            assert!(check_key("metric", bad).is_err(), "{bad:?}");
        }
        assert!(check_key("metric", &"k".repeat(251)).is_err());
        assert!(check_key("metric", &"ü".repeat(250)).is_ok(), "characters, not bytes");
        let error = check_key("metric", &"%".repeat(100_000)).expect_err("too long");
        assert!(error.to_string().len() < 500, "an error of sane length");
    }

    #[test]
    fn ids_names_and_values() {
        assert!(check_run_id("0f-A_").is_ok());
        for bad in ["", "-a", "_a", "a/b", "ü", "a.b", &"a".repeat(257)] {
            assert!(check_run_id(bad).is_err(), "{bad:?}");
        }
        assert!(check_line("name", "a run", 5).is_ok());
        for bad in ["", "  ", "a\nb", "a\0", "123456"] {
            assert!(check_line("name", bad, 5).is_err(), "{bad:?}");
        }
        assert!(check_value(String::new, "any\nthing ✓", 20).is_ok());
        assert!(check_value(String::new, "", 20).is_ok());
        assert!(check_value(String::new, "\0", 20).is_err());
        assert!(check_value(String::new, &"ü".repeat(21), 20).is_err());
        assert!(check_value(String::new, &"ü".repeat(20), 20).is_ok());
    }
}
