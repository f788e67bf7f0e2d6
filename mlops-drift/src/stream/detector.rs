//! The trait of detectors that read a stream one value at a time.

use std::fmt;

use mlops_core::bytes::{bad, put_u8, put_u64, take_count, take_u8};
use mlops_core::{Description, Error, Result};
use serde::{Deserialize, Serialize};

use super::parts::LARGEST;

/// What a detector says about the stream after a value.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Nothing has changed, as far as it can tell, or too few values were seen to say.
    #[default]
    None,
    /// It may be changing: time to collect what a new model would be trained on. Detectors without
    /// a second, looser level never say it.
    Warning,
    /// It has changed.
    Drift,
}

impl Signal {
    /// Whether it is [`Drift`](Self::Drift).
    pub const fn is_drift(self) -> bool {
        matches!(self, Self::Drift)
    }

    /// Whether it is [`Warning`](Self::Warning).
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::Warning)
    }

    /// Of two levels that were tested one after the other.
    pub(super) const fn of(drift: bool, warning: bool) -> Self {
        match (drift, warning) {
            (true, _) => Self::Drift,
            (_, true) => Self::Warning,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Warning => "warning",
            Self::Drift => "drift",
        })
    }
}

/// The values that a detector takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// Numbers that are added up: from −10¹⁴⁰ to 10¹⁴⁰, so that no sum of squares overflows.
    Number,
    /// Numbers that are only put in order: anything but NaN, infinities included.
    Ordered,
    /// Numbers in [0, 1]: the bounds of Hoeffding and `McDiarmid` are for a known range.
    Unit,
    /// 0 and 1; of a model's predictions 1 is an error.
    Binary,
}

impl Input {
    /// The value, with one zero for −0 and +0, where a detector takes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the value's position in the stream.
    pub fn check(self, position: u64, x: f64) -> Result<f64> {
        let (good, expected) = match self {
            Self::Number => (x.abs() <= LARGEST, "a number from -1e140 to 1e140"),
            Self::Ordered => (!x.is_nan(), "a number, or an infinity"),
            Self::Unit => ((0.0..=1.0).contains(&x), "a number from 0 to 1"),
            Self::Binary => (x == 0.0 || x == 1.0, "0 or 1"),
        };
        if good {
            Ok(x + 0.0)
        } else {
            Err(Error::invalid(format!("value {position} of the stream"), expected, x))
        }
    }
}

/// A detector that reads a stream one value at a time and says after each whether the stream has
/// changed.
///
/// The answer depends on the *order* of the values: a detector is no
/// [`Analyzer`](mlops_core::Analyzer), and two of them don't merge. What it remembers of the stream
/// is bounded, and can be saved and resumed ([`StreamDetectorExt`](super::StreamDetectorExt)).
///
/// # Contract
/// - `update` refuses what [`input`](Self::input) does not allow (always NaN) with an error that
///   names the position of the value, and is then as it was before.
/// - After a [`Signal::Drift`] it goes on by itself with the next value, and forgets before that
///   what its literature says it forgets. Until then [`statistic`](Self::statistic) is the one that
///   crossed the threshold. Whoever replaces the model at a drift calls [`reset`](Self::reset).
/// - Equal descriptions and equal values give equal signals and equal bytes: there is no hidden
///   clock or randomness.
/// - `decode` takes exactly what `encode` wrote off the front; hostile bytes are an error and leave
///   the detector as it was. A decoded detector goes on as the encoded one would have, to the bit.
///
/// ```
/// use mlops_drift::stream::{Ddm, DdmOptions, Signal, StreamDetector};
///
/// let mut detector: Box<dyn StreamDetector> = Box::new(Ddm::new(DdmOptions::default())?);
/// // One error in ten, then one in two.
/// let errors = (0..300).map(|i| f64::from(i % 10 == 0)).chain((0..100).map(|i| f64::from(i % 2)));
/// let mut drifts = Vec::new();
/// for (at, error) in errors.enumerate() {
///     if detector.update(error)? == Signal::Drift {
///         drifts.push(at);
///     }
/// }
/// assert_eq!(drifts, [327]);
/// assert!(detector.update(f64::NAN).unwrap_err().to_string().starts_with("value 400 of the stream"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub trait StreamDetector: fmt::Debug + Send + Sync + 'static {
    /// Its kind, the version of its bytes, and its options.
    fn description(&self) -> Description;

    /// The values that it takes.
    fn input(&self) -> Input;

    /// Takes in the next value.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value that it does not take; the detector is as before.
    fn update(&mut self, x: f64) -> Result<Signal>;

    /// Forgets all values, but not how many there were.
    fn reset(&mut self);

    /// How many values it has taken in: the position of the next one in the stream.
    fn seen(&self) -> u64;

    /// The number that was last compared with the threshold; which one it is, each detector says.
    /// `None` while there are too few values for a comparison.
    fn statistic(&self) -> Option<f64>;

    /// Appends what it remembers, canonically.
    fn encode(&self, out: &mut Vec<u8>);

    /// Replaces what it remembers by what a detector with the same description wrote.
    ///
    /// # Errors
    /// [`Error::Decode`] on bytes that `encode` would not have written.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<()>;
}

#[deny(clippy::missing_trait_methods)]
impl<T: StreamDetector + ?Sized> StreamDetector for Box<T> {
    fn description(&self) -> Description {
        (**self).description()
    }

    fn input(&self) -> Input {
        (**self).input()
    }

    fn update(&mut self, x: f64) -> Result<Signal> {
        (**self).update(x)
    }

    fn reset(&mut self) {
        (**self).reset();
    }

    fn seen(&self) -> u64 {
        (**self).seen()
    }

    fn statistic(&self) -> Option<f64> {
        (**self).statistic()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<()> {
        (**self).decode(bytes)
    }
}

/// Where in the stream a detector is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Clock {
    /// Values taken in.
    pub(super) seen: u64,
    /// Whether the last of them was a drift.
    pub(super) drifted: bool,
}

impl Clock {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.seen);
        put_u8(out, self.drifted.into());
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let seen = take_count(bytes)?;
        let drifted = match take_u8(bytes)? {
            0 => false,
            1 => true,
            other => return Err(bad(bytes, "0 or 1", other)),
        };
        Ok(Self { seen, drifted })
    }
}

/// Makes a [`StreamDetector`] of a struct with `options`, a `clock` and these private methods:
/// `start(options)` (of checked options), `push(x)`, `forget()` before the value after a drift,
/// `restart()`, `level()`, `put(out)`, and `take(bytes)` into a started one.
macro_rules! stream_detector {
    ($detector:ident($options:ty), $kind:literal, $version:literal, $input:expr) => {
        impl $detector {
            /// The stable name of this kind.
            pub const KIND: &'static str = $kind;

            /// A detector that has seen nothing.
            ///
            /// # Errors
            /// [`Error::Invalid`](mlops_core::Error::Invalid) for an option out of its range.
            pub fn new(options: $options) -> mlops_core::Result<Self> {
                options.check().map_err(|e| e.within($kind))?;
                Self::start(options).map_err(|e| e.within($kind))
            }

            /// Its options.
            pub fn options(&self) -> &$options {
                &self.options
            }

            pub(super) fn described(
                description: &mlops_core::Description,
            ) -> mlops_core::Result<Box<dyn $crate::stream::StreamDetector>> {
                Ok(Box::new(Self::new(description.parse()?)?))
            }
        }

        impl $crate::stream::StreamDetector for $detector {
            fn description(&self) -> mlops_core::Description {
                mlops_core::Description::new($kind, $version, &self.options)
            }

            fn input(&self) -> $crate::stream::Input {
                $input
            }

            fn update(&mut self, x: f64) -> mlops_core::Result<$crate::stream::Signal> {
                let x = $input.check(self.clock.seen, x)?;
                if self.clock.drifted {
                    self.forget();
                }
                let signal = self.push(x);
                self.clock.seen += 1;
                self.clock.drifted = signal.is_drift();
                Ok(signal)
            }

            fn reset(&mut self) {
                self.restart();
                self.clock.drifted = false;
            }

            fn seen(&self) -> u64 {
                self.clock.seen
            }

            fn statistic(&self) -> Option<f64> {
                self.level()
            }

            fn encode(&self, out: &mut Vec<u8>) {
                self.clock.encode(out);
                self.put(out);
            }

            fn decode(&mut self, bytes: &mut &[u8]) -> mlops_core::Result<()> {
                let mut read = Self::start(self.options.clone())?;
                read.clock = $crate::stream::detector::Clock::decode(bytes)?;
                read.take(bytes)?;
                *self = read;
                Ok(())
            }
        }
    };
}
pub(super) use stream_detector;
