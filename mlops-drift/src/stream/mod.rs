//! Detectors that read a stream one value at a time, behind one trait.

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
