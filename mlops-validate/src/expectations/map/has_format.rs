//! Texts have a format that everyone knows by name.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use mlops_core::Result;
use mlops_core::calendar::days_in_month;
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text as a whole has this format; what each accepts stands at [`TextFormat`].
///
/// Nothing is looked up, and no white space around is forgiven. Nulls are left out. deequ:
/// `containsEmail`, `containsURL`, `containsCreditCardNumber`, `containsSocialSecurityNumber`.
/// Soda: `valid format`. JSON schema: `format`.
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Suite, TextFormat, has_format};
/// let data = MemorySource::from(batch! {
///     "contact" => StringArray::from(vec!["ada@example.org", "ada@", "@example.org"]),
/// }?);
/// let suite = Suite::new("people").expect(has_format("contact", TextFormat::Email));
/// assert_eq!(suite.check(&data)?.outcomes[0].finding.failing_rows, Some(2));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HasFormat {
    /// The column.
    pub column: String,
    /// The format.
    pub format: TextFormat,
}

/// Expects every text to have this format: [`HasFormat`].
pub fn has_format(column: impl Into<String>, format: TextFormat) -> Expectation {
    HasFormat { column: column.into(), format }.into()
}

/// A format of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TextFormat {
    /// An address as mail is sent to: a dot-atom of RFC 5322 of at most 64 characters, `@`, and a
    /// host name with a dot. No quoted or international local parts.
    Email,
    /// `http`, `https`, `ftp` or `ftps`, `://`, a host (name, IPv4, `[IPv6]`), perhaps a port,
    /// path, query and fragment, in the characters of RFC 3986.
    Url,
    /// A UUID as RFC 9562 writes it, of any version and case.
    Uuid,
    /// An IPv4 address: four numbers to 255 without leading zeros.
    Ipv4,
    /// An IPv6 address of RFC 4291, without a zone.
    Ipv6,
    /// A host name of RFC 1123: labels of letters, digits and inner hyphens, at most 63 each and
    /// 253 in all.
    Hostname,
    /// A MAC address: six pairs of hexadecimal digits between `:` or `-`.
    MacAddress,
    /// A date of RFC 3339 that exists: `2024-02-29`.
    Date,
    /// A time of RFC 3339, perhaps with an offset: `10:00:00`, `10:00:00.5Z`. A second 60 is one
    /// only at the end of an hour.
    Time,
    /// Date and time of RFC 3339, with the offset: `2024-02-29T10:00:00+01:00`.
    DateTime,
    /// A number of a payment card: 12 to 19 digits, in groups by single spaces or hyphens or in
    /// none, with the check digit of ISO/IEC 7812 (Luhn).
    CreditCard,
    /// A social security number of the United States that can have been given out:
    /// `078-05-1120`.
    Ssn,
    /// An IBAN of ISO 13616, in groups of four or in one, with its check digits. The lengths of
    /// the countries are not known here.
    Iban,
    /// A phone number of E.164: `+` and at most 15 digits.
    E164,
}

impl TextFormat {
    /// Whether a text has the format.
    pub fn matches(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Url => is_url(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Hostname => is_hostname(text),
            Self::MacAddress => is_mac_address(text),
            Self::Date => is_date(text),
            Self::Time => is_time(text, false),
            Self::DateTime => {
                let at = text.find(['T', 't']);
                at.is_some_and(|at| is_date(&text[..at]) && is_time(&text[at + 1..], true))
            }
            Self::CreditCard => is_credit_card(text),
            Self::Ssn => is_ssn(text),
            Self::Iban => is_iban(text),
            Self::E164 => text.strip_prefix('+').is_some_and(|digits| {
                (2..=15).contains(&digits.len()) && all_digits(digits) && !digits.starts_with('0')
            }),
        }
    }
}

impl fmt::Display for TextFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "email addresses",
            Self::Url => "URLs",
            Self::Uuid => "UUIDs",
            Self::Ipv4 => "IPv4 addresses",
            Self::Ipv6 => "IPv6 addresses",
            Self::Hostname => "host names",
            Self::MacAddress => "MAC addresses",
            Self::Date => "dates as `2024-02-29`",
            Self::Time => "times as `10:00:00`",
            Self::DateTime => "dates and times as `2024-02-29T10:00:00Z`",
            Self::CreditCard => "credit card numbers",
            Self::Ssn => "social security numbers",
            Self::Iban => "IBANs",
            Self::E164 => "phone numbers as `+4122…`",
        })
    }
}

impl Kind for HasFormat {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let format = self.format;
        to.values(format.to_string(), &self.column, "a column of text", |data_type| {
            Ok(Texts::only(data_type, move |text: &str| format.matches(text)))
        })
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let atom = |atom: &str| {
        let is = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        !atom.is_empty() && atom.bytes().all(is)
    };
    local.len() <= 64
        && text.len() <= 254
        && local.split('.').all(atom)
        && host.contains('.')
        && is_hostname(host)
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    if !["http", "https", "ftp", "ftps"].iter().any(|s| s.eq_ignore_ascii_case(scheme)) {
        return false;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host.rfind(']') {
        Some(at) => host.split_at(at + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = match port.strip_prefix(':') {
        Some("") => true,
        Some(port) => all_digits(port) && port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let host_fits = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // What looks like an IPv4 address must be one.
        None if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            host.parse::<Ipv4Addr>().is_ok()
        }
        None => is_hostname(host.strip_suffix('.').unwrap_or(host)),
    };
    port_fits && host_fits && is_uri(user) && is_uri(tail) && tail.matches('#').count() <= 1
}

/// Whether there are only characters of RFC 3986, and `%` before two hexadecimal digits.
fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, b)| match b {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        b => b.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(b),
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_mac_address(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() == 17
        && matches!(bytes[2], b':' | b'-')
        && bytes.iter().enumerate().all(|(at, b)| match at % 3 {
            2 => *b == bytes[2],
            _ => b.is_ascii_hexdigit(),
        })
}

/// A number of this many digits.
fn fixed(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && all_digits(text)).then(|| text.parse().ok())?
}

fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |digits| parts.next().and_then(|part| fixed(part, digits));
    let (Some(year), Some(month), Some(day)) = (next(4), next(2), next(2)) else { return false };
    (1..=12).contains(&month) && (1..=days_in_month(year.into(), month)).contains(&day)
}

fn is_time(text: &str, with_offset: bool) -> bool {
    let end = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, offset) = text.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':');
    let mut next = || parts.next().and_then(|part| fixed(part, 2));
    let (Some(hour), Some(minute), Some(second)) = (next(), next(), next()) else { return false };
    let offset_fits = match offset {
        "" => !with_offset,
        "Z" | "z" => true,
        offset => offset[1..].split_once(':').is_some_and(|(hours, minutes)| {
            fixed(hours, 2).is_some_and(|h| h < 24) && fixed(minutes, 2).is_some_and(|m| m < 60)
        }),
    };
    let second_fits = second < 60 || (second == 60 && minute == 59);
    hour < 24 && minute < 60 && second_fits && all_digits(fraction) && offset_fits
}

fn is_credit_card(text: &str) -> bool {
    let grouped = text.split([' ', '-']).all(all_digits);
    let digits = || text.bytes().rev().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'));
    let n = digits().count();
    let sum: u32 = digits()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit,
            _ if digit > 4 => 2 * digit - 9,
            _ => 2 * digit,
        })
        .sum();
    // Zeros alone have a check digit, too.
    text.len() <= 38 && grouped && (12..=19).contains(&n) && sum > 0 && sum.is_multiple_of(10)
}

fn is_ssn(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |digits| parts.next().and_then(|part| fixed(part, digits));
    let (Some(area), Some(group), Some(serial)) = (next(3), next(2), next(4)) else { return false };
    area > 0 && area != 666 && area < 900 && group > 0 && serial > 0
}

fn is_iban(text: &str) -> bool {
    if text.len() > 42 || !text.is_ascii() {
        return false;
    }
    let bytes = text.as_bytes();
    let grouped = bytes.contains(&b' ');
    let spaces_fit = !grouped
        || (bytes.last() != Some(&b' ')
            && bytes.iter().enumerate().all(|(at, b)| (at % 5 == 4) == (*b == b' ')));
    let all = || bytes.iter().filter(|b| **b != b' ').copied();
    let n = all().count();
    let heads = all().take(2).all(|b| b.is_ascii_uppercase())
        && all().skip(2).take(2).all(|b| b.is_ascii_digit());
    let rest = all().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    // The number that the rest, then the first four make, with letters from 10, modulo 97.
    let number = all().skip(4).chain(all().take(4)).fold(0_u32, |sum, b| match b {
        b'0'..=b'9' => (sum * 10 + u32::from(b - b'0')) % 97,
        b => (sum * 100 + u32::from(b.saturating_sub(b'A')) + 10) % 97,
    });
    spaces_fit && (15..=34).contains(&n) && heads && rest && number == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use TextFormat::*;

    #[test]
    fn what_each_format_takes() {
        let cases: [(TextFormat, &[&str], &[&str]); 14] = [
            (
                Email,
                &["ada@example.org", "a.b+c@x-y.co.uk", "1@2.3x"],
                &["", "a", "a@", "@b.c", "a@b", "a..b@c.d", ".a@b.c", "a@b..c", "a b@c.d", "é@b.c"],
            ),
            (
                Url,
                &[
                    "http://a",
                    "https://example.org/x?y=%20#z",
                    "ftp://u:p@h:21/",
                    "http://[::1]:8",
                    "HTTP://A.B./",
                    "http://1.2.3.4",
                ],
                &[
                    "",
                    "http://",
                    "example.org",
                    "javascript://a",
                    "http://a b",
                    "http://a:99999",
                    "http://1.2.3.256",
                    "http://a/%zz",
                    "http://a/<x>",
                    "http://[::g]",
                    "http://é",
                ],
            ),
            (
                Uuid,
                &["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
                &["", "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"],
            ),
            (Ipv4, &["0.0.0.0", "255.255.255.255"], &["", "1.2.3", "1.2.3.256", "01.2.3.4", "::1"]),
            (
                Ipv6,
                &["::", "2001:db8::1", "::ffff:1.2.3.4"],
                &["", "1.2.3.4", ":::", "fe80::1%eth0"],
            ),
            (Hostname, &["a", "a-b.c", "1.2"], &["", "-a", "a-", "a..b", "a_b", "a.", "é"]),
            (
                MacAddress,
                &["00:1A:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E"],
                &["", "00:1A-2b:3c:4d:5e", "00:1A:2b:3c:4d", "00:1A:2b:3c:4d:5g"],
            ),
            (Date, &["2024-02-29"], &["", "2023-02-29", "2024-2-29", "24-02-29", "2024-00-01"]),
            (
                Time,
                &["10:00:00", "23:59:60Z", "10:00:00.123+01:00"],
                &["", "10:00", "24:00:00", "10:00:60", "10:00:00."],
            ),
            (
                DateTime,
                &["2024-02-29T10:00:00Z", "2024-02-29t10:00:00.5-05:30"],
                &["", "2024-02-29T10:00:00", "2024-02-29 10:00:00Z"],
            ),
            (
                CreditCard,
                &["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005"],
                &["", "4111111111111112", "4111  111111111111", "0000000000000000", "41111111111"],
            ),
            (
                Ssn,
                &["078-05-1120"],
                &["", "000-05-1120", "666-05-1120", "900-05-1120", "078-00-1120", "078051120"],
            ),
            (
                Iban,
                &["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"],
                &[
                    "",
                    "DE89370400440532013001",
                    "de89370400440532013000",
                    "DE8 93704004405320130 00",
                ],
            ),
            (
                E164,
                &["+41446681800"],
                &["", "41446681800", "+0446681800", "+4", "+1234567890123456"],
            ),
        ];
        for (format, good, bad) in cases {
            for text in good {
                assert!(format.matches(text), "{format}: {text}");
            }
            for text in bad {
                assert!(!format.matches(text), "{format}: {text}");
            }
        }
    }
}
