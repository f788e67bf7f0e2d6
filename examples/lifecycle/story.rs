//! The data of a run: a past to train on, and windows of production after it.

use std::collections::BTreeMap;
use std::path::Path;

use mlops::arrow::array::{Array, AsArray, BooleanArray, RecordBatch, UInt32Array};
use mlops::arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use mlops::arrow::datatypes::DataType;
use mlops::core::stats::Draws;
use mlops::core::{Categories, DataSourceExt, Error, Result, column, is_numeric, is_text};

use crate::args::{Args, Data};
use crate::loans;

/// The most values that a text column may have and still be a feature.
const MAX_CATEGORIES: usize = 50;
/// The most windows before months become quarters.
const MAX_MONTHS: usize = 12;
/// The share of the rows that is the past, where nothing else says so.
const PAST: f64 = 0.6;

/// Everything that a run needs to know of its data.
#[derive(Debug)]
pub struct Story {
    pub name: String,
    pub label: String,
    pub positive: String,
    pub negative: String,
    pub sensitive: Vec<String>,
    /// Features that are numbers, and features that are categories.
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    /// Columns that are no features, and why.
    pub left_out: Vec<(String, &'static str)>,
    pub past: RecordBatch,
    pub windows: Vec<Window>,
}

/// A stretch of production.
#[derive(Debug)]
pub struct Window {
    pub name: String,
    pub rows: RecordBatch,
}

impl Story {
    /// The data that the command line asks for.
    pub fn of(args: &Args, seed: u64) -> Result<Self> {
        match &args.data {
            None => Self::loans(seed, args.rows),
            Some(data) => Self::file(data, seed),
        }
    }

    fn loans(seed: u64, rows: usize) -> Result<Self> {
        let each = (rows / loans::MONTHS).max(1);
        let months: Vec<_> =
            (0..loans::MONTHS).map(|m| loans::month(seed, m, each)).collect::<Result<_>>()?;
        let past = concat_batches(&months[0].schema(), &months[..loans::PRODUCTION])?;
        let windows = months
            .into_iter()
            .enumerate()
            .skip(loans::PRODUCTION)
            .map(|(m, rows)| Window { name: loans::month_name(m), rows })
            .collect();
        let mut story = Self::new("loan applications", "repaid", Some("1"), past, windows)?;
        story.choose_features(&["sex".into()], &["application_id".into()], Some("applied_on"));
        Ok(story)
    }

    fn file(data: &Data, seed: u64) -> Result<Self> {
        let whole = read(&data.file, data)?;
        for name in data.sensitive.iter().chain(&data.time) {
            column(&whole, name)?;
        }
        let (past, windows) = match (&data.production, &data.time) {
            (Some(file), None) => {
                let rows = read(file, data)?;
                if rows.schema().fields() != whole.schema().fields() {
                    return Err(Error::invalid(
                        format!("schema of {}", file.display()),
                        format!("that of {}: {}", data.file.display(), columns(&whole)),
                        columns(&rows),
                    ));
                }
                (whole, vec![Window { name: "production".into(), rows }])
            }
            (Some(file), Some(time)) => {
                let rows = read(file, data)?;
                (whole, by_time(&rows, time, 0.0)?.1)
            }
            (None, Some(time)) => by_time(&whole, time, PAST)?,
            (None, None) => by_chance(&whole, seed)?,
        };
        let name = data.file.file_stem().map_or("data".into(), |s| s.to_string_lossy());
        let mut story = Self::new(&name, &data.label, data.positive.as_deref(), past, windows)?;
        story.choose_features(&data.sensitive, &[], data.time.as_deref());
        Ok(story)
    }

    fn new(
        name: &str,
        label: &str,
        positive: Option<&str>,
        past: RecordBatch,
        windows: Vec<Window>,
    ) -> Result<Self> {
        let column = column(&past, label)?;
        let categories = Categories::of(label, column)?;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for row in 0..past.num_rows() {
            if let Some(class) = categories.label(row) {
                *counts.entry(class).or_default() += 1;
            }
        }
        let classes: Vec<_> = counts.keys().copied().collect();
        let &[first, second] = classes.as_slice() else {
            return Err(Error::invalid(
                format!("label column `{label}`"),
                "two classes",
                match classes.len() {
                    0 | 1 => format!("{}: {}", classes.len(), classes.join(", ")),
                    n => format!("{n}: {}, …", classes[..5.min(n)].join(", ")),
                },
            ));
        };
        let positive = match positive {
            Some(class) => class,
            None => [first, second]
                .into_iter()
                .find(|c| matches!(*c, "1" | "true" | "True" | "yes" | "Yes"))
                .unwrap_or(if counts[first] < counts[second] { first } else { second }),
        };
        if ![first, second].contains(&positive) {
            return Err(Error::invalid("--positive", format!("{first} or {second}"), positive));
        }
        let negative = if positive == first { second } else { first };
        Ok(Self {
            name: name.to_owned(),
            label: label.to_owned(),
            positive: positive.to_owned(),
            negative: negative.to_owned(),
            sensitive: Vec::new(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            left_out: Vec::new(),
            past,
            windows,
        })
    }

    /// Numbers and text of few values are features; the sensitive ones are only measured by.
    fn choose_features(&mut self, sensitive: &[String], ids: &[String], time: Option<&str>) {
        self.sensitive = sensitive.to_vec();
        for field in self.past.schema().fields() {
            let (name, data_type) = (field.name(), field.data_type());
            if *name == self.label {
                continue;
            }
            let reason = if Some(name.as_str()) == time {
                "the time"
            } else if sensitive.contains(name) {
                "sensitive"
            } else if ids.contains(name) {
                "an identifier"
            } else if is_text(data_type) || *data_type == DataType::Boolean {
                let few = self.past.column_by_name(name).is_some_and(|column| {
                    Categories::of(name, column).is_ok_and(|c| c.labels().len() <= MAX_CATEGORIES)
                });
                if few {
                    self.categorical.push(name.clone());
                    continue;
                }
                "text of many values"
            } else if is_numeric(data_type) && !data_type.is_temporal() {
                self.numeric.push(name.clone());
                continue;
            } else {
                "of a type that the model does not take"
            };
            self.left_out.push((name.clone(), reason));
        }
    }

    /// All features.
    pub fn features(&self) -> impl Iterator<Item = &String> {
        self.numeric.iter().chain(&self.categorical)
    }

    /// The rows with the columns that matter, in the order of the source.
    pub fn relevant(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let watched = self.watched();
        let schema = rows.schema();
        for name in &watched {
            column(rows, name)?;
        }
        let kept: Vec<_> = (0..schema.fields().len())
            .filter(|&i| watched.contains(schema.field(i).name()))
            .collect();
        Ok(rows.project(&kept)?)
    }

    /// The rows that a window has, about.
    pub fn window_rows(&self) -> u64 {
        let rows: usize = self.windows.iter().map(|w| w.rows.num_rows()).sum();
        (rows / self.windows.len().max(1)).max(1) as u64
    }

    /// The columns that are watched for drift: features, sensitive ones, the label.
    pub fn watched(&self) -> Vec<String> {
        let mut all: Vec<_> = self.features().chain(&self.sensitive).cloned().collect();
        all.push(self.label.clone());
        all
    }
}

/// A file without the columns to drop.
fn read(path: &Path, data: &Data) -> Result<RecordBatch> {
    let rows = mlops::data::open(path)?.collect()?;
    for name in &data.drop {
        column(&rows, name)?;
    }
    let kept: Vec<_> = rows
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !data.drop.contains(field.name()))
        .map(|(i, _)| i)
        .collect();
    if rows.num_rows() == 0 {
        return Err(Error::invalid(path.display().to_string(), "rows", "none but the header"));
    }
    Ok(rows.project(&kept)?)
}

fn columns(batch: &RecordBatch) -> String {
    let fields = batch.schema();
    let names: Vec<_> =
        fields.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    names.join(", ")
}

/// The first `past` share of the rows in time, and the others by month or quarter.
fn by_time(rows: &RecordBatch, time: &str, past: f64) -> Result<(RecordBatch, Vec<Window>)> {
    let column = column(rows, time)?;
    let wrong = || Error::column_type(time, "a date or timestamp", column.data_type());
    if !column.data_type().is_temporal() {
        return Err(wrong());
    }
    let days = cast(column, &DataType::Date32).map_err(|_| wrong())?;
    let text = cast(&days, &DataType::Utf8).map_err(|_| wrong())?;
    let text = text.as_string::<i32>();
    let months: Vec<&str> = (0..text.len())
        .map(|row| {
            if text.is_valid(row) {
                return Ok(text.value(row).get(..7).unwrap_or_default());
            }
            Err(Error::Value {
                column: time.to_owned(),
                row: row as u64,
                expected: "a date".into(),
                found: "null".into(),
            })
        })
        .collect::<Result<_>>()?;
    let mut sorted = months.clone();
    sorted.sort_unstable();
    let cut = sorted.get((past * rows.num_rows() as f64) as usize).copied().unwrap_or("9999");
    let mut later: Vec<_> = sorted.into_iter().filter(|m| *m >= cut).collect();
    later.dedup();
    let quarters = later.len() > MAX_MONTHS;
    let name = |month: &str| -> String {
        let number: usize = month.get(5..).and_then(|m| m.parse().ok()).unwrap_or(1);
        let quarter = || format!("{} Q{}", &month[..4], number.div_ceil(3));
        if quarters { quarter() } else { month.to_owned() }
    };
    let mut windows: Vec<String> = later.into_iter().map(name).collect();
    windows.dedup();
    let part = |keep: &dyn Fn(&str) -> bool| -> Result<RecordBatch> {
        let mask: BooleanArray = months.iter().map(|m| Some(keep(m))).collect();
        Ok(filter_record_batch(rows, &mask)?)
    };
    let before = part(&|month| month < cut)?;
    let windows = windows
        .into_iter()
        .map(|window| {
            let rows = part(&|month| month >= cut && name(month) == window)?;
            Ok(Window { name: window, rows })
        })
        .collect::<Result<_>>()?;
    Ok((before, windows))
}

/// A past and four windows by chance.
fn by_chance(rows: &RecordBatch, seed: u64) -> Result<(RecordBatch, Vec<Window>)> {
    const WINDOWS: usize = 4;
    let order = Draws::new(seed, 0, 0).permutation(rows.num_rows());
    let part = |from: usize, to: usize| -> Result<RecordBatch> {
        let mut picked: Vec<u32> = order[from..to].iter().map(|&i| i as u32).collect();
        picked.sort_unstable();
        Ok(take_record_batch(rows, &UInt32Array::from(picked))?)
    };
    let cut = (PAST * rows.num_rows() as f64) as usize;
    let at = |window: usize| cut + (rows.num_rows() - cut) * window / WINDOWS;
    let windows = (0..WINDOWS)
        .map(|w| Ok(Window { name: format!("part {}", w + 1), rows: part(at(w), at(w + 1))? }))
        .collect::<Result<_>>()?;
    Ok((part(0, cut)?, windows))
}
