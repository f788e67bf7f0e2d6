//! A profile of many columns is fitted and counted within the memory that the options allow,
//! whatever the rows: by counting what is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::{Batches, DataSource, Partition, Result, Verdict};
use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn taken(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "what is allocated can only be counted where it is")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from there, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Columns of numbers that are made when they are read, as from a file.
#[derive(Debug)]
struct Made {
    schema: SchemaRef,
    partitions: usize,
    rows: usize,
}

impl Made {
    fn new(columns: usize, partitions: usize, rows: usize) -> Self {
        let field = |i| Field::new(format!("x{i}"), DataType::Float64, true);
        let schema = Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()));
        Self { schema, partitions, rows }
    }
}

impl DataSource for Made {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let partition = |i| Partition::new("made").starting_at((i * self.rows) as u64);
        Ok((0..self.partitions).map(partition).collect())
    }

    fn read(&self, part: usize, columns: Option<&[usize]>, batch_size: usize) -> Result<Batches> {
        let all: Vec<_> = (0..self.schema.fields().len()).collect();
        let columns = columns.unwrap_or(&all).to_vec();
        let schema = Arc::new(self.schema.project(&columns)?);
        let rows = self.rows;
        Ok(Batches::new((0..rows).step_by(batch_size).map(move |at| {
            let n = batch_size.min(rows - at);
            let column = |column: &usize| {
                // Every third has an atom amid a continuum, for which there is a third scan.
                let mut state = ((*column << 20) + part * rows + at) as u64;
                let draw = |i| {
                    // Knuth's generator, MMIX.
                    state = state.wrapping_mul(6_364_136_223_846_793_005);
                    state = state.wrapping_add(1_442_695_040_888_963_407);
                    let u = (state >> 11) as f64;
                    if column.is_multiple_of(3) && i % 4 < 1 { 0.3 } else { u * u }
                };
                Arc::new(Float64Array::from_iter_values((0..n).map(draw))) as ArrayRef
            };
            let columns = columns.iter().map(column).collect();
            Ok(RecordBatch::try_new(schema.clone(), columns)?)
        })))
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// `MLOPS_COLUMNS=1000 MLOPS_ROWS=1000000 MLOPS_MEMORY=256` for the full size.
#[test]
fn memory_is_bounded_whatever_the_columns_and_rows() {
    let (columns, rows) = (number("MLOPS_COLUMNS", 18), number("MLOPS_ROWS", 18_000));
    let memory = number("MLOPS_MEMORY", 8) << 20;
    let source = Made::new(columns, (rows / 9000).max(1), 9000);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    let options = ProfileOptions::default().memory(memory);
    let peak = |of: &dyn Fn() -> ReferenceProfile| -> (ReferenceProfile, usize, usize) {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let profile = of();
        let peak = PEAK.load(Ordering::Relaxed) - before;
        let kept = LIVE.load(Ordering::Relaxed) - before;
        println!("peak {:.1} MiB, of which {:.1} are the profile", mib(peak), mib(kept));
        (profile, peak, kept)
    };
    let (profile, peak_fit, kept) =
        peak(&|| pool.install(|| ReferenceProfile::fit(&source, &options)).expect("a profile"));
    assert!(peak_fit < memory + kept, "{peak_fit} bytes");
    let (counted, peak_count, kept) =
        peak(&|| pool.install(|| profile.count(&source)).expect("counts"));
    assert!(peak_count < ProfileOptions::default().memory + kept, "{peak_count} bytes");
    assert_eq!(counted, profile);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let report = pool.install(|| DriftMonitor::new(profile.clone()).compare(&source));
    let peak_compare = PEAK.load(Ordering::Relaxed) - before;
    println!("peak {:.1} MiB of a comparison", mib(peak_compare));
    assert!(peak_compare < ProfileOptions::default().memory + 3 * kept, "{peak_compare} bytes");
    assert_eq!(report.expect("a report").verdict, Verdict::Pass);
    if columns <= 18 {
        // In one group, and so at the price of all states at once: the same profile.
        let options = ProfileOptions::default();
        let (whole, peak, _) =
            peak(&|| pool.install(|| ReferenceProfile::fit(&source, &options)).expect("a profile"));
        assert!(peak > memory, "{peak} bytes");
        assert_eq!(whole.to_bytes(), profile.to_bytes());
    }
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}
