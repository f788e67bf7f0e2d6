//! Strings as codes in order of first appearance: what groups and categories are counted by.

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, GenericStringArray, OffsetSizeTrait, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use multiversion::multiversion;
use xxhash_rust::xxh3::xxh3_64;

/// The bytes of a string that fit into a word.
const SHORT: usize = 8;

/// The word of what is no short string. No text has a byte of 255, so that none has this word.
const LONG: u64 = u64::MAX;

/// A short string as a word of its own: its bytes, and its length above them. Strings of eight bytes
/// fill the word, and those whose last byte could be a length are looked up as long ones are.
#[inline]
fn word(bytes: u64, len: usize) -> u64 {
    if len < SHORT {
        bytes & ((1 << (8 * len)) - 1) | (len as u64) << 56
    } else if len == SHORT && bytes >> 56 > 7 {
        bytes
    } else {
        LONG
    }
}

/// The eight bytes of a buffer from here on; at its end those that there are.
#[inline]
fn eight(data: &[u8], start: usize) -> u64 {
    if let Some(eight) = data.get(start..).and_then(<[u8]>::first_chunk::<SHORT>) {
        return u64::from_le_bytes(*eight);
    }
    let rest = data.get(start..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Rows that are looked at together.
const BLOCK: usize = 64;

/// Up to so many labels are compared with all rows of a block; with more each row is looked up.
const FEW: usize = 16;

/// What has none of the labels that were compared.
const MISSED: u64 = u64::MAX;

/// The number of the label that each word is; what it was where it is none.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn compare(words: &[u64; BLOCK], known: &[u64], codes: &mut [u64; BLOCK]) {
    for (number, &label) in (0_u64..).zip(known) {
        for (code, &word) in codes.iter_mut().zip(words) {
            *code = if word == label { number } else { *code };
        }
    }
}

/// Codes of strings, below the number of labels; what stands under a null is any code.
#[derive(Debug)]
pub(crate) struct TextCodes<'s> {
    labels: Vec<&'s str>,
    bytes: Vec<u8>,
    /// All codes, once there are more labels than a byte can tell apart.
    words: Option<Vec<u32>>,
}

impl<'s> TextCodes<'s> {
    /// The codes of a column of plain text; `None` for anything else, and for more labels than
    /// `most`.
    pub(crate) fn of(array: &'s ArrayRef, most: usize) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => Self::of_strings(array.as_string::<i32>(), most),
            DataType::LargeUtf8 => Self::of_strings(array.as_string::<i64>(), most),
            DataType::Utf8View => Self::of_views(array.as_string_view(), most),
            _ => None,
        }
    }

    fn of_strings<O: OffsetSizeTrait>(
        array: &'s GenericStringArray<O>,
        most: usize,
    ) -> Option<Self> {
        let (data, offsets) = (array.value_data(), array.value_offsets());
        Self::of_words(array, most, |first, words| {
            let Some(offsets) = offsets.get(first..=first + words.len()) else { return };
            for (word_of, ends) in words.iter_mut().zip(offsets.windows(2)) {
                let (start, end) = (ends[0].as_usize(), ends[1].as_usize());
                *word_of = word(eight(data, start), end.wrapping_sub(start));
            }
        })
    }

    fn of_views(array: &'s StringViewArray, most: usize) -> Option<Self> {
        let views = array.views();
        // The length stands in the low half of the low word, what is short right behind it.
        Self::of_words(array, most, |first, words| {
            for (word_of, view) in words.iter_mut().zip(views.get(first..).unwrap_or_default()) {
                *word_of = word((view >> 32) as u64, *view as u32 as usize);
            }
        })
    }

    /// Of strings of which `fill` writes the words, from a row on.
    fn of_words(
        array: impl ArrayAccessor<Item = &'s str> + Copy,
        most: usize,
        fill: impl Fn(usize, &mut [u64]),
    ) -> Option<Self> {
        let n = array.len();
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut known = Interner::new();
        let mut found =
            Self { labels: Vec::new(), bytes: Vec::with_capacity(n + BLOCK), words: None };
        let mut words = [LONG; BLOCK];
        for first in (0..n).step_by(BLOCK) {
            let rows = BLOCK.min(n - first);
            fill(first, &mut words[..rows]);
            let mut codes = [MISSED; BLOCK];
            if known.labels.len() <= FEW {
                compare(&words, &known.words, &mut codes);
            }
            known.look_up(array, first, (&words[..rows], &mut codes[..rows]), nulls);
            if known.labels.len() > most {
                return None;
            }
            found.push(&codes[..rows], known.labels.len());
        }
        found.labels = known.labels;
        Some(found)
    }

    fn push(&mut self, codes: &[u64], labels: usize) {
        if labels > 256 && self.words.is_none() {
            let mut words = Vec::with_capacity(self.bytes.capacity());
            words.extend(self.bytes.iter().map(|&code| u32::from(code)));
            self.words = Some(words);
        }
        match &mut self.words {
            None => self.bytes.extend(codes.iter().map(|&code| code as u8)),
            Some(words) => words.extend(codes.iter().map(|&code| code as u32)),
        }
    }

    /// In 32 bits each, and the labels.
    pub(crate) fn into_words(self) -> (Vec<u32>, Vec<&'s str>) {
        let Self { labels, bytes, words } = self;
        (words.unwrap_or_else(|| bytes.into_iter().map(u32::from).collect()), labels)
    }

    /// In a byte each, and the labels; `None` where there are too many.
    pub(crate) fn into_bytes(self) -> Option<(Vec<u8>, Vec<&'s str>)> {
        self.words.is_none().then_some((self.bytes, self.labels))
    }
}

/// Gives each string the number of its first appearance: a table with open places, at most half
/// full. A short string is found by its word alone, a long one by its hash and a second look.
struct Interner<'s> {
    labels: Vec<&'s str>,
    /// The words of the first labels, of a long one that of none.
    words: Vec<u64>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    /// A word, or a hash.
    key: u64,
    long: bool,
    /// `EMPTY` where there is none.
    code: u32,
}

const EMPTY: u32 = u32::MAX;
const NOTHING: Place = Place { key: 0, long: false, code: EMPTY };

/// The word that no row has: a short string has another, and a long one that of all long ones.
const NO_WORD: u64 = u64::MAX - 1;

impl<'s> Interner<'s> {
    fn new() -> Self {
        Self { labels: Vec::new(), words: Vec::new(), places: vec![NOTHING; 64] }
    }

    /// Rows that are none of the labels that were compared, one by one.
    fn look_up(
        &mut self,
        array: impl ArrayAccessor<Item = &'s str> + Copy,
        first: usize,
        (words, codes): (&[u64], &mut [u64]),
        nulls: Option<&NullBuffer>,
    ) {
        // All of them, without a way out in the middle: many at a time.
        if codes.iter().copied().fold(0, u64::max) != MISSED {
            return;
        }
        for (at, (code, &word)) in codes.iter_mut().zip(words).enumerate() {
            if *code != MISSED {
                continue;
            }
            let row = first + at;
            *code = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                0
            } else if word == LONG {
                let label = array.value(row);
                u64::from(self.code(xxh3_64(label.as_bytes()), true, || label))
            } else {
                u64::from(self.code(word, false, || array.value(row)))
            };
        }
    }

    /// Where to begin to look.
    fn start(key: u64, places: usize) -> usize {
        // 2⁶⁴ over the golden ratio: the top bits of the product depend on all bits of the key.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (places.leading_zeros() + 1)) as usize
    }

    #[inline]
    fn code(&mut self, key: u64, long: bool, text: impl Fn() -> &'s str) -> u32 {
        let mut at = Self::start(key, self.places.len());
        loop {
            let place = self.places[at];
            if place.code == EMPTY {
                return self.add(at, key, long, text());
            }
            if place.key == key
                && place.long == long
                && (!long || self.labels[place.code as usize] == text())
            {
                return place.code;
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    #[cold]
    fn add(&mut self, at: usize, key: u64, long: bool, label: &'s str) -> u32 {
        let code = self.labels.len() as u32;
        self.labels.push(label);
        if self.words.len() < FEW {
            self.words.push(if long { NO_WORD } else { key });
        }
        self.places[at] = Place { key, long, code };
        if self.labels.len() * 2 > self.places.len() {
            let mut places = vec![NOTHING; self.places.len() * 4];
            for place in self.places.iter().filter(|place| place.code != EMPTY) {
                let mut at = Self::start(place.key, places.len());
                while places[at].code != EMPTY {
                    at = (at + 1) & (places.len() - 1);
                }
                places[at] = *place;
            }
            self.places = places;
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{LargeStringArray, StringArray};

    use super::*;

    /// The labels of the rows that are not null.
    fn labels(array: &ArrayRef) -> Vec<Option<String>> {
        let (codes, labels) = TextCodes::of(array, usize::MAX).unwrap().into_words();
        let label = |(row, code): (usize, &u32)| {
            array.is_valid(row).then(|| labels[*code as usize].to_owned())
        };
        assert_eq!(codes.len(), array.len());
        codes.iter().enumerate().map(label).collect()
    }

    #[test]
    fn strings_that_look_alike_are_told_apart() {
        // Lengths and control characters that a word could take for one another.
        let mut texts: Vec<Option<String>> = ["", "\0", "\0\0", "a", "a\0", "aaaaaaa", "aaaaaaaa"]
            .into_iter()
            .chain([
                "aaaaaaa\u{7}",
                "aaaaaaa\u{8}",
                "aaaaaaa\0",
                "aaaaaaaaa",
                "\u{7}",
                "ÿÿÿÿ",
                "ÿÿÿÿÿ",
            ])
            .map(|text| Some(text.to_owned()))
            .collect();
        texts.push(None);
        for more in [0, 10, 300] {
            let mut texts = texts.clone();
            texts.extend((0..more).map(|i| Some(format!("{i}"))));
            let n = texts.len();
            let texts: Vec<_> = (0..1000).map(|i| texts[i * 11 % n].clone()).collect();
            let arrays: [ArrayRef; 3] = [
                Arc::new(StringArray::from(texts.clone())),
                Arc::new(LargeStringArray::from(texts.clone())),
                Arc::new(StringViewArray::from(texts.clone())),
            ];
            for array in arrays {
                for (from, len) in [(0, 1000), (3, 64), (63, 65), (999, 1), (5, 0)] {
                    assert_eq!(labels(&array.slice(from, len)), texts[from..from + len]);
                }
                let (bytes, most) = (TextCodes::of(&array, 255), more + 15);
                assert_eq!(bytes.is_some(), most < 256);
            }
        }
    }
}
