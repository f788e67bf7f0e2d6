//! Numbers and names as people read them.

/// A count with thousands separators: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// Digits with a comma before every third from the right.
fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// What stands for a number that is none.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "∞"
    } else {
        "-∞"
    }
}

/// A number to at most so many significant digits, without zeros at the end. Whole numbers are written whole, very large and very
/// small ones with an exponent.
pub(crate) fn number(value: f64, digits: u8) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let digits = usize::from(digits.clamp(1, 17));
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return signed(value, &grouped(&format!("{:.0}", value.abs())));
    }
    // The exponent after rounding: 9.996 to three digits is 10.0, not 10.00.
    let scientific = format!("{:.*e}", digits - 1, value.abs());
    let exponent = scientific.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if !(-4..15).contains(&exponent) {
        return signed(value, &trimmed(&scientific));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    let text = fixed_abs(value.abs(), decimals);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    signed(value, text)
}

/// A number with so many decimals.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    if value.abs() >= 1e15 {
        return number(value, 4);
    }
    let text = fixed_abs(value.abs(), decimals);
    // What rounds to zero has no sign.
    if text.bytes().all(|b| matches!(b, b'0' | b'.')) { text } else { signed(value, &text) }
}

fn fixed_abs(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, rest)) => format!("{}.{rest}", grouped(whole)),
        None => grouped(&text),
    }
}

fn signed(value: f64, text: &str) -> String {
    if value < 0.0 { format!("-{text}") } else { text.to_owned() }
}

/// A share as a percentage to so many digits, at most two decimals: `12.3 %`.
pub(crate) fn percent(share: f64, digits: u8) -> String {
    let value = share * 100.0;
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (i32::from(digits) - 1 - magnitude).clamp(0, 2) as usize;
    let text = fixed(value, decimals);
    if value != 0.0 && text.bytes().all(|b| matches!(b, b'0' | b'.')) {
        // A share that is not zero does not read as zero.
        return if value > 0.0 { "< 0.01 %".to_owned() } else { "> -0.01 %".to_owned() };
    }
    format!("{text} %")
}

/// A label on an axis: the decimals that the step needs, thousands as `k`, millions as `M`.
pub(crate) fn tick(value: f64, step: f64, largest: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let (divisor, suffix) = if largest >= 1e15 || (largest > 0.0 && largest < 1e-4) {
        return if value == 0.0 { "0".to_owned() } else { trimmed(&format!("{value:.2e}")) };
    } else if largest >= 1e12 {
        (1e12, "T")
    } else if largest >= 1e9 {
        (1e9, "G")
    } else if largest >= 1e6 {
        (1e6, "M")
    } else if largest >= 1e4 {
        (1e3, "k")
    } else {
        (1.0, "")
    };
    // As many decimals as the step has: two for 0.25, none for 20.
    let whole = |decimals: &i32| {
        let scaled = step / divisor * 10f64.powi(*decimals);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let decimals = (0..8).find(whole).unwrap_or(8) as usize;
    let text = fixed(value / divisor, decimals);
    if value == 0.0 { text } else { format!("{text}{suffix}") }
}

/// A mantissa without its trailing zeros.
fn trimmed(scientific: &str) -> String {
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => scientific.to_owned(),
    }
}

/// Text that is safe to show anywhere: control characters become their pictures, and characters
/// that turn the direction of what follows become `�`, because both can make a report say
/// something else than it does. Line breaks become spaces.
///
/// ```
/// assert_eq!(mlops_core::report::clean("a\u{1b}[31m\nb"), "a␛[31m b");
/// ```
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}'
            | '\u{ffff}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// How many cells of a terminal a character takes, or how many half ems of a line.
pub(crate) fn char_width(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x200b..=0x200d
        | 0x20d0..=0x20f0
        | 0xfe00..=0xfe0f
        | 0x1f3fb..=0x1f3ff
        | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// How many cells of a terminal a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text, cut to so many cells with `…` at its end where it is longer.
pub(crate) fn truncated(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += char_width(c);
        if used + 1 > cells {
            break;
        }
        out.push(c);
    }
    if cells > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (-1234.0, "-1,234"),
            (0.12345, "0.123"),
            (0.2, "0.2"),
            (9.996, "10"),
            (12_345.678, "12,346"),
            (0.000_123_4, "0.000123"),
            (0.000_012_34, "1.23e-5"),
            (-4.5e-300, "-4.5e-300"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "∞"),
            (f64::NEG_INFINITY, "-∞"),
        ] {
            assert_eq!(number(value, 3), text, "{value}");
        }
        assert_eq!(percent(0.1234, 3), "12.3 %");
        assert_eq!(percent(0.0, 3), "0.00 %");
        assert_eq!(percent(1e-9, 3), "< 0.01 %");
        assert_eq!(percent(f64::NAN, 3), "NaN");
        assert_eq!(tick(0.25, 0.25, 1.0), "0.25");
        assert_eq!(tick(20_000.0, 5_000.0, 20_000.0), "20k");
        assert_eq!(tick(2_500_000.0, 500_000.0, 3e6), "2.5M");
        assert_eq!(tick(2.0, 1.0, 5.0), "2");
        assert_eq!(tick(2e-5, 1e-5, 3e-5), "2e-5");
    }

    #[test]
    fn nothing_hidden_gets_through() {
        assert_eq!(clean("a\u{1b}[31mb\0"), "a␛[31mb␀");
        assert_eq!(clean("two\nlines"), "two lines");
        assert_eq!(clean("\u{202e}evil"), "\u{fffd}evil");
        assert_eq!(truncated("abcdef", 4), "abc…");
        assert_eq!(truncated("日本語", 4), "日…");
        assert_eq!(truncated("abc", 0), "");
        assert_eq!(width("👍 ok"), 5);
    }
}
