//! Points of a metric as bytes: how history lies in a database.
//!
//! A chunk holds points in the order of their arrival: a version, the first eight bytes of the
//! BLAKE3 of the rest, and for each point the differences of step and time to the one before
//! (zigzag, seven bits a byte) and the eight bytes of the value. A point a step and a second apart
//! takes some eleven bytes.

use mlops_core::bytes::{bad, take};
use mlops_core::{Error, Result, Timestamp};

use super::batch::Point;

/// How many points a chunk has at most.
pub(super) const POINTS: usize = 1024;
/// The last chunk of a metric takes more points until it has so many bytes: a commit writes whole
/// pages of 4 KiB anyway.
pub(super) const OPEN_BYTES: usize = 2048;

const VERSION: u8 = 1;
const HEAD: usize = 9;
/// Two differences of a byte each, and the value.
const LEAST_POINT: usize = 10;

pub(super) fn encode(points: &[Point]) -> Vec<u8> {
    let mut out = vec![0; HEAD];
    out.reserve(points.len() * (LEAST_POINT + 2));
    let mut before = (0_i64, 0_i64);
    for point in points {
        let (step, at) = point.order();
        put_signed(&mut out, step.wrapping_sub(before.0));
        put_signed(&mut out, at.wrapping_sub(before.1));
        out.extend_from_slice(&point.value.to_bits().to_le_bytes());
        before = (step, at);
    }
    let check = checksum(&out[HEAD..]);
    out[0] = VERSION;
    out[1..HEAD].copy_from_slice(&check);
    out
}

/// Appends the points of a chunk to these.
pub(super) fn decode(bytes: &[u8], points: &mut Vec<Point>) -> Result<()> {
    read(bytes, points).map_err(|e| match e {
        Error::Decode { offset, expected, found, .. } => Error::Decode {
            what: "points of a metric".into(),
            offset: (bytes.len() as u64).saturating_sub(offset),
            expected,
            found,
        },
        other => other,
    })
}

fn read(mut bytes: &[u8], points: &mut Vec<Point>) -> Result<()> {
    let rest = &mut bytes;
    let version = take(rest, 1)?[0];
    if version != VERSION {
        return Err(bad(rest, format!("version {VERSION}"), version));
    }
    let check = take(rest, HEAD - 1)?;
    if check != checksum(rest) {
        return Err(bad(rest, "what its checksum says", "something else"));
    }
    points.reserve(rest.len() / LEAST_POINT);
    let mut before = (0_i64, 0_i64);
    while !rest.is_empty() {
        before.0 = before.0.wrapping_add(take_signed(rest)?);
        before.1 = before.1.wrapping_add(take_signed(rest)?);
        let mut raw = [0; 8];
        raw.copy_from_slice(take(rest, 8)?);
        let value = f64::from_bits(u64::from_le_bytes(raw));
        points.push(Point { step: before.0, at: Timestamp::from_millis(before.1), value });
    }
    Ok(())
}

fn checksum(bytes: &[u8]) -> [u8; HEAD - 1] {
    let mut out = [0; HEAD - 1];
    out.copy_from_slice(&blake3::hash(bytes).as_bytes()[..HEAD - 1]);
    out
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_signed(bytes: &mut &[u8]) -> Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && byte > 1 {
            break;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(bad(bytes, "a number of 64 bits", "a longer one"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(points: &[Point]) -> Vec<(i64, i64, u64)> {
        points.iter().map(|p| (p.step, p.at.millis(), p.value.to_bits())).collect()
    }

    proptest! {
        #[test]
        fn points_are_read_back(raw in proptest::collection::vec((any::<i64>(), any::<i64>(), any::<u64>()), 0..50)) {
            let points: Vec<_> = raw
                .iter()
                .map(|(step, at, value)| Point {
                    step: *step,
                    at: Timestamp::from_millis(*at),
                    value: f64::from_bits(*value),
                })
                .collect();
            let bytes = encode(&points);
            let mut read = Vec::new();
            decode(&bytes, &mut read)?;
            prop_assert_eq!(bits(&read), raw);
        }

        #[test]
        fn every_flipped_bit_is_found(n in 0_i64..20, at: usize, bit in 0..8) {
            let point = |i: i64| Point { step: i, at: Timestamp::from_millis(i), value: i as f64 };
            let mut bytes = encode(&(0..n).map(point).collect::<Vec<_>>());
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(decode(&bytes, &mut Vec::new()).is_err());
            prop_assert!(decode(&bytes[..at], &mut Vec::new()).is_err());
        }

        #[test]
        fn hostile_bytes_are_an_error(mut body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = vec![VERSION];
            bytes.extend_from_slice(&checksum(&body));
            bytes.append(&mut body);
            let mut points = Vec::new();
            if decode(&bytes, &mut points).is_ok() {
                prop_assert!(points.len() <= bytes.len() / LEAST_POINT);
            }
        }
    }
}
