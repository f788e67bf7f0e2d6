//! Detectors that read a stream one value at a time, behind one trait.
//!
//! A profile compares two sets of rows; these watch a *sequence*, of a model's errors or of a
//! number, and say where it changes. Their answer depends on the order of the values. Each is a
//! [`StreamDetector`], remembers a bounded amount, and saves and resumes
//! ([`StreamDetectorExt::to_bytes`], [`StreamKinds::resume`]):
//!
//! ```
//! use mlops_drift::stream::{
//!     HddmA, HddmAOptions, Signal, StreamDetector, StreamDetectorExt, StreamKinds,
//! };
//! let mut detector = HddmA::new(HddmAOptions::default())?;
//! for i in 0..500 {
//!     assert_eq!(detector.update(f64::from(i % 10 == 0))?, Signal::None);
//! }
//! let stored = detector.to_bytes();
//!
//! let mut resumed = StreamKinds::standard().resume(&stored)?;
//! let drift = (0..100).find(|i| resumed.update(f64::from(i % 2)).is_ok_and(Signal::is_drift));
//! assert_eq!(drift, Some(21));
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! | watches | detector | sees |
//! |---|---|---|
//! | errors, 0 or 1 | [`Ddm`], [`Rddm`] | a rate above its own minimum |
//! | | [`Eddm`] | errors that come closer together |
//! | | [`Ecdd`] | a recent rate above the rate of all |
//! | | [`Stepd`] | a window's rate that is not that of all before |
//! | numbers in [0, 1] | [`HddmA`], [`HddmW`] | a mean above its own minimum, by bounds that hold for any law |
//! | numbers | [`Adwin`] | two parts of a window with different means |
//! | | [`PageHinkley`], [`Cusum`], [`Gma`] | deviations from a level that add up |
//! | | [`Shewhart`] | points beyond limits, and runs |
//! | | [`Bocd`] | a new mean or variance, with its probability |
//! | what can be ordered | [`Kswin`], [`IncrementalKs`] | another distribution of any kind |
//!
//! [`change_points`] runs one over a column of a source. How often each gives a false alarm at its
//! defaults, and how long after a change it speaks, is in the table of
//! `docs/streaming-detectors.md`; no detector that looks at every value has a false alarm rate of
//! its `alpha`.

mod adwin;
mod bocd;
mod change_points;
mod cusum;
mod ddm;
mod detector;
mod ecdd;
mod eddm;
mod gamma;
mod gma;
mod hddm_a;
mod hddm_w;
mod incremental_ks;
mod kinds;
mod kswin;
mod page_hinkley;
mod parts;
mod prefix_tree;
mod rddm;
mod run_rules;
mod saved;
mod shewhart;
mod stepd;

pub use adwin::{Adwin, AdwinOptions};
pub use bocd::{Bocd, BocdOptions, BocdRule};
pub use change_points::{ChangePoint, ChangePoints, change_points, change_points_in};
pub use cusum::{Cusum, CusumOptions};
pub use ddm::{Ddm, DdmOptions};
pub use detector::{Input, Signal, StreamDetector};
pub use ecdd::{Ecdd, EcddLimit, EcddOptions};
pub use eddm::{Eddm, EddmOptions};
pub use gma::{Gma, GmaOptions};
pub use hddm_a::{HddmA, HddmAOptions};
pub use hddm_w::{HddmW, HddmWOptions};
pub use incremental_ks::{IncrementalKs, IncrementalKsOptions, KsReference};
pub use kinds::StreamKinds;
pub use kswin::{Kswin, KswinOptions};
pub use page_hinkley::{PageHinkley, PageHinkleyOptions};
pub use parts::{Baseline, Direction};
pub use rddm::{Rddm, RddmOptions};
pub use run_rules::RunRule;
pub use saved::StreamDetectorExt;
pub use shewhart::{ChartBaseline, ChartLimits, Shewhart, ShewhartOptions};
pub use stepd::{Stepd, StepdOptions};

/// The kinds of this module and the versions of their bytes.
const STANDARD: &[kinds::Kind] = &[
    (Adwin::KIND, 1, Adwin::described),
    (Bocd::KIND, 1, Bocd::described),
    (Cusum::KIND, 1, Cusum::described),
    (Ddm::KIND, 1, Ddm::described),
    (Ecdd::KIND, 1, Ecdd::described),
    (Eddm::KIND, 1, Eddm::described),
    (Gma::KIND, 1, Gma::described),
    (HddmA::KIND, 1, HddmA::described),
    (HddmW::KIND, 1, HddmW::described),
    (IncrementalKs::KIND, 1, IncrementalKs::described),
    (Kswin::KIND, 1, Kswin::described),
    (PageHinkley::KIND, 1, PageHinkley::described),
    (Rddm::KIND, 1, Rddm::described),
    (Shewhart::KIND, 1, Shewhart::described),
    (Stepd::KIND, 1, Stepd::described),
];

#[cfg(test)]
mod tests;
