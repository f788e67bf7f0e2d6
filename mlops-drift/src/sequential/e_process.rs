//! The e-process of counts against a reference that is itself a sample.

use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_u64, take_count, take_f64, take_len, take_u64,
};
use mlops_core::{Error, Result};

/// The most rows of the reference, and of all looks together: beyond it the difference of two
/// `ln Γ` of some 10¹⁴ has lost the digits that say whether anything changed.
const MOST_ROWS: u64 = 1 << 44;
/// How many places in time at which the drift may have begun are kept.
const MOST_STARTS: usize = 32;
/// The share of the capital that bets on a drift from the first look on.
const FROM_THE_FIRST: f64 = 0.5;
/// The concentrations of the alternative: half a row a cell, and four times more each.
const CONCENTRATIONS: i32 = 6;

/// Evidence that rows no longer fall into cells as those of a reference did, valid at every look.
///
/// With `k` cells that hold `r₁ … rₖ` of `n` reference rows, the cells' unknown probabilities have,
/// as far as the reference tells, the law Dirichlet(`rᵢ + 1/k`), and rows that go on as before
/// arrive with the probability of a Pólya urn: the counts are Dirichlet–multinomial. For cells that
/// end at reference values of given ranks and a continuous column this law is distribution-free and
/// all but exact (the spacings of `n` rows: one row of `n + 1` belongs to no cell for certain). The
/// e-value is
///
/// `E = Σⱼ wⱼ · mean_κ DM(counts since look j; κq) / DM(counts since look j; r + counts before + 1/k)`,
///
/// `q = (r + 1/k)/(n + 1)`: a bet that from look `j` on the probabilities are others, drawn around
/// the reference's with a concentration `κ` of `k/2, 2k, 8k, …` (six of them at most) below `n`,
/// against the urn. `E` is a
/// nonnegative martingale of mean 1 under the null, and `P(E ever ≥ 1/α) ≤ α`. Half of the
/// capital is on a drift from the first look, `1/(2j(j − 1))` on one from look `j ≥ 2`; at most 32
/// beginnings are kept, by moving the capital of one onto an older neighbour, which any strategy
/// may do at any time.
///
/// **The null.** The probability is over the reference *and* what follows: size holds on average
/// over references. For categories, and for numbers with ties, where the cells are fixed and their
/// reference counts random, the ratio is a Bayes factor: exact on average over shares drawn from
/// the Dirichlet law with `1/k`, and within the nominal level at every fixed shares that the
/// simulation in `tests/sequential.rs` tries, cells with one reference row among them. Rows must be
/// independent: a stream that repeats rows, or follows the hour of the day where the reference
/// holds all hours, is rightly found to be different.
///
/// ```
/// use mlops_drift::sequential::EProcess;
/// let mut process = EProcess::new(&[500, 500, 500, 500])?;
/// for _ in 0..365 {
///     process.update(&[25, 25, 25, 25])?;
/// }
/// assert!(process.log_e_value() < 0.0);
/// while process.p_value() > 0.05 {
///     process.update(&[35, 25, 20, 20])?;
/// }
/// assert_eq!((process.looks(), process.likely_start()), (373, 366));
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// The logarithm of `E` is exact to about 10⁻⁵ up to 10⁹ rows, and to some hundredths up to 2⁴⁴;
/// more are refused. A look takes time in
/// `192 k`, the state `33 k` numbers.
///
/// # References
/// Ville (1939); Vovk & Wang, *E-values* (2021), doi:10.1214/20-AOS2020; Shafer et al., *Test
/// martingales, Bayes factors and p-values* (2011), doi:10.1214/10-STS347; Shin, Ramdas & Rinaldo,
/// *E-detectors* (2024), doi:10.51387/23-NEJSDS51.
#[derive(Clone, Debug, PartialEq)]
pub struct EProcess {
    null: DirichletMultinomial,
    alternatives: Vec<DirichletMultinomial>,
    counts: Vec<u64>,
    looks: u64,
    starts: Vec<Start>,
    most: f64,
}

/// A look from which on the drift may have begun.
#[derive(Clone, Debug, PartialEq)]
struct Start {
    /// The looks before it.
    look: u64,
    /// What had been counted before it.
    before: Vec<u64>,
    /// The logarithm of the null's probability of that.
    null: f64,
    /// The logarithm of what is bet on it.
    capital: f64,
}

impl EProcess {
    /// A process against what the reference counted in these cells.
    ///
    /// # Errors
    /// [`Error::Undefined`] for fewer than two cells or no rows; [`Error::Invalid`] for more than
    /// 2⁴⁴ rows.
    pub fn new(reference: &[u64]) -> Result<Self> {
        let what = "e-process";
        let k = reference.len();
        if k < 2 {
            return Err(Error::undefined(what, "it needs two cells"));
        }
        let n = total(reference)?;
        if n == 0 {
            return Err(Error::undefined(what, "the reference counts no rows"));
        }
        let weights: Vec<f64> = reference.iter().map(|&r| r as f64 + 1.0 / k as f64).collect();
        let alternatives = (0..CONCENTRATIONS)
            .map(|j| 0.5 * k as f64 * 4f64.powi(j))
            .filter(|&kappa| kappa < n as f64 || kappa == 0.5 * k as f64)
            .map(|kappa| {
                let scale = kappa / (n as f64 + 1.0);
                DirichletMultinomial::new(weights.iter().map(|w| w * scale).collect())
            })
            .collect();
        Ok(Self {
            null: DirichletMultinomial::new(weights),
            alternatives,
            counts: vec![0; k],
            looks: 0,
            starts: Vec::new(),
            most: 0.0,
        })
    }

    /// Takes in what a look counted. A look without rows is none.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of cells; [`Error::Invalid`] once there are more than
    /// 2⁴⁴ rows.
    pub fn update(&mut self, counts: &[u64]) -> Result<()> {
        if counts.len() != self.counts.len() {
            return Err(Error::Length {
                left: "cells of the reference".into(),
                left_len: self.counts.len(),
                right: "cells of the look".into(),
                right_len: counts.len(),
            });
        }
        if total(counts)? == 0 {
            return Ok(());
        }
        if total(counts)?.saturating_add(total(&self.counts)?) > MOST_ROWS {
            return Err(Error::invalid("rows of an e-process", "at most 2^44", "more"));
        }
        let null = self.null.log_probability(&self.counts);
        self.starts.push(Start {
            look: self.looks,
            before: self.counts.clone(),
            null,
            capital: share_from(self.looks).ln(),
        });
        for (mine, theirs) in self.counts.iter_mut().zip(counts) {
            add_count(mine, *theirs);
        }
        self.looks += 1;
        if self.starts.len() > MOST_STARTS {
            self.unite();
        }
        self.most = self.most.max(self.log_e_value());
        Ok(())
    }

    /// The natural logarithm of the e-value now; 0 before the first look.
    pub fn log_e_value(&self) -> f64 {
        if self.looks == 0 {
            return 0.0;
        }
        // What no beginning has been given yet lies idle.
        let idle = ((1.0 - FROM_THE_FIRST) / self.looks as f64).ln();
        log_sum(self.gains().chain([idle]))
    }

    /// The largest logarithm of the e-value at any look.
    pub fn max_log_e_value(&self) -> f64 {
        self.most
    }

    /// The p-value that is valid over all looks and at any stopping time: `min(1, 1/max E)`.
    pub fn p_value(&self) -> f64 {
        (-self.most).exp().min(1.0)
    }

    /// How many looks had rows.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// All that was counted.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The look, from 1, from which on a drift explains the rows best; 1 before the first.
    pub fn likely_start(&self) -> u64 {
        self.likeliest().map_or(1, |start| start.look + 1)
    }

    /// What was counted from [`likely_start`](Self::likely_start) on.
    pub fn counts_since_start(&self) -> Vec<u64> {
        match self.likeliest() {
            Some(start) => self.since(start),
            None => self.counts.clone(),
        }
    }

    fn likeliest(&self) -> Option<&Start> {
        let best =
            self.starts.iter().zip(self.gains()).reduce(|a, b| if b.1 > a.1 { b } else { a });
        best.map(|(start, _)| start)
    }

    fn since(&self, start: &Start) -> Vec<u64> {
        self.counts.iter().zip(&start.before).map(|(now, then)| now - then).collect()
    }

    /// The logarithm of what the capital on each beginning has become.
    fn gains(&self) -> impl Iterator<Item = f64> {
        let null = self.null.log_probability(&self.counts);
        self.starts.iter().map(move |start| {
            let since = self.since(start);
            let bets = self.alternatives.iter().map(|a| a.log_probability(&since));
            let mean = log_sum(bets) - (self.alternatives.len() as f64).ln();
            start.capital + mean - (null - start.null)
        })
    }

    /// Moves the capital of the beginning that lies closest behind an older one, in proportion to
    /// its age, onto that one.
    fn unite(&mut self) {
        let age = |start: &Start| (self.looks - start.look) as f64;
        let closeness = |pair: &[Start]| age(&pair[1]) / age(&pair[0]);
        let closest = self
            .starts
            .windows(2)
            .enumerate()
            .reduce(|a, b| if closeness(b.1) > closeness(a.1) { b } else { a });
        let Some(older) = closest.map(|(i, _)| i) else { return };
        let gains: Vec<f64> = self.gains().collect();
        let younger = self.starts.remove(older + 1);
        debug_assert!(younger.look > self.starts[older].look);
        // By what the older one's capital must grow to be worth both.
        self.starts[older].capital += log_sum([0.0, gains[older + 1] - gains[older]].into_iter());
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.looks);
        put_f64(out, self.most);
        put_len(out, self.counts.len());
        self.counts.iter().for_each(|c| put_u64(out, *c));
        put_len(out, self.starts.len());
        for start in &self.starts {
            put_u64(out, start.look);
            put_f64(out, start.capital);
            start.before.iter().for_each(|c| put_u64(out, *c));
        }
    }

    /// The process against this reference as [`encode`](Self::encode) wrote it.
    pub(crate) fn decode(reference: &[u64], bytes: &mut &[u8]) -> Result<Self> {
        let mut process = Self::new(reference)?;
        process.looks = take_count(bytes)?;
        process.most = take_f64(bytes)?;
        if !(process.most >= 0.0 && process.most.is_finite()) {
            return Err(bad(bytes, "a largest e-value of at least 1", process.most));
        }
        let k = take_len(bytes, 8)?;
        if k != process.counts.len() {
            return Err(bad(bytes, format!("{} cells", process.counts.len()), k));
        }
        for count in &mut process.counts {
            *count = take_u64(bytes)?;
        }
        if !matches!(total(&process.counts), Ok(rows) if (rows == 0) == (process.looks == 0)) {
            return Err(bad(bytes, "rows with looks, and at most 2^44", "others"));
        }
        let starts = take_len(bytes, 16 + 8 * k)?;
        if starts > MOST_STARTS || (starts == 0) != (process.looks == 0) {
            return Err(bad(bytes, format!("1 to {MOST_STARTS} starts"), starts));
        }
        for i in 0..starts {
            let look = take_u64(bytes)?;
            let capital = take_f64(bytes)?;
            let before = (0..k).map(|_| take_u64(bytes)).collect::<Result<Vec<_>>>()?;
            let grows = |a: &[u64], b: &[u64]| a.iter().zip(b).all(|(a, b)| a <= b);
            let follows = match process.starts.last() {
                None => look == 0 && before.iter().all(|c| *c == 0),
                Some(last) => look > last.look && grows(&last.before, &before),
            };
            if !follows || look >= process.looks || !grows(&before, &process.counts) {
                return Err(bad(bytes, "starts one after the other", format!("start {i}")));
            }
            if !capital.is_finite() {
                return Err(bad(bytes, "a finite capital", capital));
            }
            let null = process.null.log_probability(&before);
            process.starts.push(Start { look, before, null, capital });
        }
        Ok(process)
    }
}

/// The share of the capital that is bet on a beginning after this many looks.
fn share_from(look: u64) -> f64 {
    let j = look as f64;
    if look == 0 { FROM_THE_FIRST } else { (1.0 - FROM_THE_FIRST) / (j * (j + 1.0)) }
}

fn total(counts: &[u64]) -> Result<u64> {
    let sum = counts.iter().try_fold(0u64, |sum, c| sum.checked_add(*c));
    sum.filter(|n| *n <= MOST_ROWS)
        .ok_or_else(|| Error::invalid("rows of an e-process", "at most 2^44", "more"))
}

/// `ln Σ exp(x)`, as accurate as its largest term.
fn log_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let terms: Vec<f64> = terms.collect();
    let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + terms.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
}

/// Rows whose cells' probabilities were drawn from a Dirichlet law: a Pólya urn.
#[derive(Clone, Debug, PartialEq)]
struct DirichletMultinomial {
    weights: Vec<f64>,
    /// `ln Γ` of each weight.
    at_weights: Vec<f64>,
    sum: f64,
}

impl DirichletMultinomial {
    fn new(weights: Vec<f64>) -> Self {
        let at_weights = weights.iter().map(|w| ln_gamma(*w)).collect();
        let sum = weights.iter().sum();
        Self { weights, at_weights, sum }
    }

    /// Of one sequence of rows with these counts.
    fn log_probability(&self, counts: &[u64]) -> f64 {
        let (mut all, mut sum) = (0u64, 0.0);
        for ((&count, weight), at_weight) in counts.iter().zip(&self.weights).zip(&self.at_weights)
        {
            if count > 0 {
                all += count;
                sum += ln_gamma(weight + count as f64) - at_weight;
            }
        }
        sum - (ln_gamma(self.sum + all as f64) - ln_gamma(self.sum))
    }
}

/// `ln Γ(x)` for `x > 0`: Stirling's series, after the recurrence up to 16.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 1.0);
    while x < 16.0 {
        below *= x;
        x += 1.0;
    }
    let square = (x * x).recip();
    let series = (1.0 / 12.0
        - square
            * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))))
        / x;
    let half_ln_tau = 0.918_938_533_204_672_8;
    (x - 0.5) * x.ln() - x + half_ln_tau + series - below.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_gamma_is_scipys() {
        // scipy.special.gammaln
        for (x, expected) in [
            (1e-4, 9.210282658633961),
            (0.5, 0.5723649429247),
            (1.0, 0.0),
            (2.5, 0.2846828704729192),
            (15.999, 27.89653040276015),
            (100.25, 360.28455963776423),
            (1e6, 12815504.569147611),
            (1e9, 19723265827.503716),
        ] {
            let error = (ln_gamma(x) - expected).abs();
            assert!(error <= 1e-14 * expected.abs().max(1.0), "{x}: {} {expected}", ln_gamma(x));
        }
    }

    /// All counts of `rows` rows in `cells` cells.
    fn tables(rows: u64, cells: usize) -> Vec<Vec<u64>> {
        if cells == 1 {
            return vec![vec![rows]];
        }
        let mut all = Vec::new();
        for first in 0..=rows {
            for mut rest in tables(rows - first, cells - 1) {
                rest.insert(0, first);
                all.push(rest);
            }
        }
        all
    }

    #[test]
    fn it_wins_nothing_on_average_whatever_came_before() {
        // After any past, the e-value's mean over the next look under the urn is the value now.
        let reference = [3, 0, 7];
        let mut process = EProcess::new(&reference).expect("a process");
        for past in [[0, 0, 2], [2, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 2]] {
            let now = process.log_e_value().exp();
            let mut mean = 0.0;
            for next in tables(3, 3) {
                let ways = |n: u64| ln_gamma(n as f64 + 1.0);
                let choose = ways(3) - next.iter().map(|c| ways(*c)).sum::<f64>();
                let both: Vec<u64> =
                    process.counts().iter().zip(&next).map(|(a, b)| a + b).collect();
                let p = choose + process.null.log_probability(&both)
                    - process.null.log_probability(process.counts());
                let mut then = process.clone();
                then.update(&next).expect("a look");
                mean += (p + then.log_e_value()).exp();
            }
            assert!((mean / now - 1.0).abs() < 1e-12, "{mean} {now}");
            process.update(&past).expect("a look");
        }
    }

    #[test]
    fn many_looks_keep_few_starts_and_lose_no_capital() {
        let mut process = EProcess::new(&[40, 60, 100]).expect("a process");
        for look in 0..400u64 {
            let before = process.clone();
            process.update(&[20 + look % 3, 30 - look % 2, 50]).expect("a look");
            assert!(process.starts.len() <= MOST_STARTS);
            if before.starts.len() == MOST_STARTS {
                // The same without uniting.
                let mut whole = before.clone();
                whole.starts.push(Start {
                    look,
                    before: before.counts.clone(),
                    null: before.null.log_probability(&before.counts),
                    capital: share_from(look).ln(),
                });
                whole.counts.clone_from(&process.counts);
                whole.looks += 1;
                assert!((whole.log_e_value() - process.log_e_value()).abs() < 1e-10);
            }
        }
        // Recent beginnings stand close, old ones far apart.
        let looks: Vec<u64> = process.starts.iter().map(|s| s.look).collect();
        assert_eq!((looks[0], looks[31]), (0, 399));
        assert!(looks[1] - looks[0] > looks[31] - looks[30], "{looks:?}");
    }

    #[test]
    fn it_goes_on_from_its_bytes_and_refuses_others() {
        let reference = [500, 300, 0, 200];
        let mut process = EProcess::new(&reference).expect("a process");
        for look in 0..50 {
            process.update(&[50, 30 + look % 5, u64::from(look == 7), 20]).expect("a look");
        }
        let mut bytes = Vec::new();
        process.encode(&mut bytes);
        let again = EProcess::decode(&reference, &mut &bytes[..]).expect("the same");
        assert_eq!(again, process);
        for cut in 0..bytes.len() {
            assert!(EProcess::decode(&reference, &mut &bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            let mut hostile = bytes.clone();
            hostile[at] ^= 0x80;
            if let Ok(process) = EProcess::decode(&reference, &mut &hostile[..]) {
                assert!(!process.log_e_value().is_nan());
            }
        }
        assert!(process.update(&[1, 2]).is_err());
        assert!(process.update(&[u64::MAX, 1, 0, 0]).is_err());
        assert_eq!(again, process);
        process.update(&[0, 0, 0, 0]).expect("nothing");
        assert_eq!(again, process);
        assert!(EProcess::new(&[5]).is_err() && EProcess::new(&[0, 0]).is_err());
    }
}
