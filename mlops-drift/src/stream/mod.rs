//! Detectors that read a stream one value at a time, behind one trait.

mod adwin;
mod cusum;
mod ddm;
mod detector;
mod ecdd;
mod eddm;
mod gma;
mod hddm_a;
mod hddm_w;
mod kinds;
mod kswin;
mod page_hinkley;
mod parts;
mod rddm;
mod saved;
mod stepd;

pub use adwin::{Adwin, AdwinOptions};
pub use cusum::{Cusum, CusumOptions};
pub use ddm::{Ddm, DdmOptions};
pub use detector::{Input, Signal, StreamDetector};
pub use ecdd::{Ecdd, EcddLimit, EcddOptions};
pub use eddm::{Eddm, EddmOptions};
pub use gma::{Gma, GmaOptions};
pub use hddm_a::{HddmA, HddmAOptions};
pub use hddm_w::{HddmW, HddmWOptions};
pub use kinds::StreamKinds;
pub use kswin::{Kswin, KswinOptions};
pub use page_hinkley::{PageHinkley, PageHinkleyOptions};
pub use parts::{Baseline, Direction};
pub use rddm::{Rddm, RddmOptions};
pub use saved::StreamDetectorExt;
pub use stepd::{Stepd, StepdOptions};

/// The kinds of this module and the versions of their bytes.
const STANDARD: &[kinds::Kind] = &[
    (Adwin::KIND, 1, Adwin::described),
    (Cusum::KIND, 1, Cusum::described),
    (Gma::KIND, 1, Gma::described),
    (Kswin::KIND, 1, Kswin::described),
    (PageHinkley::KIND, 1, PageHinkley::described),
    (Ddm::KIND, 1, Ddm::described),
    (Ecdd::KIND, 1, Ecdd::described),
    (Eddm::KIND, 1, Eddm::described),
    (HddmA::KIND, 1, HddmA::described),
    (HddmW::KIND, 1, HddmW::described),
    (Rddm::KIND, 1, Rddm::described),
    (Stepd::KIND, 1, Stepd::described),
];

#[cfg(test)]
mod tests;
