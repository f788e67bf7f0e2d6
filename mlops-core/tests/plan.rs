//! Plans: members measured once, failing alone, fetched by handle, stored and read back.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};

use mlops_core::arrow::array::{Float64Array, StringArray};
use mlops_core::bytes::{state_from_bytes, state_to_bytes};
use mlops_core::states::{NumericSummary, RowCount};
use mlops_core::{
    Analyzer, DataSourceExt, Error, Judge, Kinds, MemorySource, Plan, Result, Rows, State, batch,
    conformance,
};

fn source() -> MemorySource {
    let rows = batch! {
        "x" => Float64Array::from(vec![Some(1.0), None, Some(3.0)]),
        "city" => StringArray::from(vec!["Oslo", "Bergen", "Oslo"]),
    };
    MemorySource::from(rows.unwrap())
}

/// Counts how often it is updated with rows; has no description.
#[derive(Debug)]
struct Spy(&'static AtomicUsize);

impl Analyzer for Spy {
    type State = u64;
    type Output = u64;

    fn columns(&self) -> Vec<String> {
        vec!["x".into()]
    }

    fn start(&self) -> u64 {
        0
    }

    fn update(&self, state: &mut u64, rows: &Rows<'_>) -> Result<()> {
        self.0.fetch_add(usize::from(!rows.is_empty()), Ordering::Relaxed);
        *state += rows.len() as u64;
        Ok(())
    }

    fn finish(&self, state: u64) -> Result<u64> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<u64> {
        RowCount.decode(bytes)
    }
}

static UPDATES: AtomicUsize = AtomicUsize::new(0);

#[test]
fn equal_members_are_measured_once() {
    let mut plan = Plan::new();
    let one = plan.add(NumericSummary::new("x"));
    let two = plan.add(NumericSummary::new("x"));
    plan.add(NumericSummary::new("city"));
    assert_eq!(plan.len(), 2);
    let measured = source().measure(&plan).unwrap();
    assert_eq!(measured.get(&one).unwrap(), measured.get(&two).unwrap());

    let mut plan = Plan::new();
    plan.add(Spy(&UPDATES));
    plan.add(Spy(&UPDATES));
    source().measure(&plan).unwrap();
    assert_eq!(UPDATES.load(Ordering::Relaxed), 2, "without a description nothing is known equal");
}

#[test]
fn a_failing_member_fails_alone_even_without_rows() {
    let mut plan = Plan::new();
    let missing = plan.add(NumericSummary::new("income"));
    let text = plan.add(NumericSummary::new("city"));
    let x = plan.add(NumericSummary::new("x"));
    for source in [source(), MemorySource::from(source().collect().unwrap().slice(0, 0))] {
        let measured = source.measure(&plan).unwrap();
        let error = measured.get(&missing).unwrap_err().to_string();
        assert!(error.contains("income") && error.contains("city"), "{error}");
        assert!(measured.get(&text).unwrap_err().to_string().contains("Utf8"));
        assert!(measured.get(&x).is_ok());
    }
}

#[test]
fn a_handle_of_another_plan_is_refused() {
    let (mut one, mut two) = (Plan::new(), Plan::new());
    one.add(RowCount);
    let foreign = two.add(RowCount);
    let measured = source().measure(&one).unwrap();
    assert!(matches!(measured.get(&foreign), Err(Error::Invalid { .. })));
}

#[test]
fn judges_compose() {
    let mut plan = Plan::new();
    let rows = plan.add(RowCount);
    let x = plan.add(NumericSummary::new("x"));
    let count = Judge::new(move |m| m.get(&rows).copied());
    let nulls = Judge::new(move |m| Ok(m.get(&x)?.nulls));
    let both = count.and(nulls).map(|(rows, nulls)| format!("{nulls} of {rows}"));
    let measured = source().measure(&plan).unwrap();
    assert_eq!(both.judge(&measured).unwrap(), "1 of 3");
    assert_eq!(both.judge(&measured).unwrap(), "1 of 3", "a judge serves again");
}

#[test]
fn a_plan_keeps_the_contract_of_an_analyzer() {
    let mut plan = Plan::new();
    plan.add(RowCount);
    plan.add(NumericSummary::new("x"));
    plan.add(NumericSummary::new("missing"));
    conformance::analyzer(&plan, &source().collect().unwrap());
    conformance::analyzer(&(RowCount, NumericSummary::new("x")), &source().collect().unwrap());
}

#[test]
fn a_plan_is_read_back_in_another_process() {
    let mut plan = Plan::new();
    plan.add(RowCount);
    plan.add(NumericSummary::new("x"));
    let description = plan.description().unwrap();
    let bytes = state_to_bytes(&plan, &source().scan().state(&plan).unwrap()).unwrap();
    let json = serde_json::to_string(&description).unwrap();

    let rows = RowCount.description().unwrap();
    let summary = NumericSummary::new("x").description().unwrap();
    let kinds = Kinds::new()
        .with::<RowCount>(&rows.kind, rows.version)
        .with::<NumericSummary>(&summary.kind, summary.version);
    let mut again = Plan::from_description(&serde_json::from_str(&json).unwrap(), &kinds).unwrap();
    let x = again.add(NumericSummary::new("x"));
    assert_eq!(again.len(), 2, "what is there is found");
    let mut state = state_from_bytes(&again, &bytes).unwrap();
    state.merge(source().scan().state(&again).unwrap()).unwrap();
    assert_eq!(again.finish(state).unwrap().get(&x).unwrap().nulls, 2);

    let unknown = Plan::from_description(&description, &Kinds::new()).unwrap_err();
    assert!(unknown.to_string().contains("row_count"), "{unknown}");
}

#[test]
fn bytes_of_another_description_or_damaged_are_refused() {
    let x = NumericSummary::new("x");
    let bytes = state_to_bytes(&x, &source().scan().state(&x).unwrap()).unwrap();
    assert!(matches!(
        state_from_bytes(&NumericSummary::new("y"), &bytes),
        Err(Error::Merge { .. })
    ));
    assert!(matches!(state_from_bytes(&RowCount, &bytes), Err(Error::Merge { .. })));
    for n in 0..bytes.len() {
        assert!(state_from_bytes(&x, &bytes[..n]).is_err(), "the first {n} bytes");
        let mut damaged = bytes.clone();
        damaged[n] ^= 0x10;
        assert!(state_from_bytes(&x, &damaged).is_err(), "byte {n} changed");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let error = state_from_bytes(&x, &longer).unwrap_err().to_string();
    assert!(error.contains("byte"), "{error}");
}
