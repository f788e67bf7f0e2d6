//! Attributions as Arrow batches: wide columns, lists, or only the strongest of each row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Float64Array, Int32Array, RecordBatch,
    RecordBatchOptions, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use mlops_core::{Error, Result};

use super::Attributions;

/// The names of the columns in which attributions stand beside data; no data column that does not
/// begin with `phi` can be mistaken for one.
#[derive(Clone, Copy, Debug)]
pub struct PhiColumns<'a> {
    outputs: &'a [String],
}

impl<'a> PhiColumns<'a> {
    /// The names for these outputs.
    pub fn of(outputs: &'a [String]) -> Self {
        Self { outputs }
    }

    fn suffix(self, output: &str) -> String {
        // A single output needs no name: its columns stay the same whatever it is called.
        if self.outputs.len() == 1 { String::new() } else { format!("[{output}]") }
    }

    /// `phi:age`, or `phi:age[class]` where there are several outputs.
    pub fn phi(self, feature: &str, output: &str) -> String {
        format!("phi:{feature}{}", self.suffix(output))
    }

    /// `phi_base`, or `phi_base[class]`.
    pub fn base(self, output: &str) -> String {
        format!("phi_base{}", self.suffix(output))
    }

    /// `phi_prediction`, or `phi_prediction[class]`.
    pub fn prediction(self, output: &str) -> String {
        format!("phi_prediction{}", self.suffix(output))
    }

    /// `phi:a*b`, the interaction value of two features, or `phi:a*b[class]`.
    pub fn pair(self, pair: (&str, &str), output: &str) -> String {
        format!("phi:{}*{}{}", pair.0, pair.1, self.suffix(output))
    }

    /// The fields of the interaction values of these pairs.
    pub(super) fn pair_fields(self, pairs: &[(String, String)]) -> Vec<Field> {
        let of = |output: &str| -> Vec<Field> {
            let names = pairs.iter().map(|(a, b)| self.pair((a, b), output));
            names.map(|name| Field::new(name, DataType::Float64, false)).collect()
        };
        self.outputs.iter().flat_map(|output| of(output)).collect()
    }

    /// The fields of a batch of these features, in the order of [`Attributions::to_batch`].
    pub fn fields(self, features: &[String]) -> Vec<Field> {
        let field = |name: String| Field::new(name, DataType::Float64, false);
        let mut fields = Vec::with_capacity((features.len() + 2) * self.outputs.len());
        for output in self.outputs {
            fields.extend(features.iter().map(|feature| field(self.phi(feature, output))));
            fields.push(field(self.base(output)));
            fields.push(field(self.prediction(output)));
        }
        fields
    }
}

pub(super) fn batch(
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

impl Attributions {
    /// A column `phi:feature` for each feature, then `phi_base` and `phi_prediction`
    /// ([`PhiColumns`]); with several outputs all of them for each, one after the other.
    ///
    /// # Errors
    /// None that can be caused from outside: the columns have one length.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let (n, k, rows) = (self.features.len(), self.outputs.len(), self.len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity((n + 2) * k);
        for output in 0..k {
            for j in 0..n {
                let column = self.values.iter().skip(output * n + j).step_by(n * k).copied();
                columns.push(Arc::new(Float64Array::from_iter_values(column)));
            }
            columns.push(Arc::new(Float64Array::from(vec![self.base_values[output]; rows])));
            let predictions = self.predictions.iter().skip(output).step_by(k).copied();
            columns.push(Arc::new(Float64Array::from_iter_values(predictions)));
        }
        batch(PhiColumns::of(&self.outputs).fields(&self.features), columns, rows)
    }

    /// The same as lists of fixed size, without moving a number: `phi` of `n_outputs · n_features`
    /// values, `phi_base` and `phi_prediction` of `n_outputs` values a row. The names of features and
    /// outputs are in the schema's metadata, one a line.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names with a line break, or more values a row than a list holds.
    pub fn to_list_batch(self) -> Result<RecordBatch> {
        let (k, rows) = (self.outputs.len(), self.len());
        let names = [("features", &self.features), ("outputs", &self.outputs)];
        let mut metadata = HashMap::new();
        for (key, names) in names {
            if let Some(bad) = names.iter().find(|name| name.contains('\n')) {
                return Err(Error::invalid(
                    "names in a schema",
                    "no line breaks",
                    bad.escape_debug(),
                ));
            }
            metadata.insert(format!("phi_{key}"), names.join("\n"));
        }
        metadata.insert("phi_space".to_owned(), self.space.to_string());
        let width = self.features.len() * k;
        let size = |n: usize| {
            i32::try_from(n).map_err(|_| Error::invalid("values a row", "at most 2^31 - 1", n))
        };
        let base = self.base_values.iter().copied().cycle().take(rows * k);
        let lists = [
            ("phi", size(width)?, Float64Array::from(self.values)),
            ("phi_base", size(k)?, Float64Array::from_iter_values(base)),
            ("phi_prediction", size(k)?, Float64Array::from(self.predictions)),
        ];
        let item = Arc::new(Field::new("item", DataType::Float64, false));
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (name, size, values) in lists {
            let list = FixedSizeListArray::try_new_with_length(
                item.clone(),
                size,
                Arc::new(values),
                None,
                rows,
            )?;
            fields.push(Field::new(name, DataType::FixedSizeList(item.clone(), size), false));
            columns.push(Arc::new(list) as ArrayRef);
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields).with_metadata(metadata));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// Of each row and output the `k` features with the largest |φ|, the strongest first and of
    /// equal ones the first in order: columns `row`, `output`, `feature_1`, `phi_1`, …, and
    /// `phi_rest`, what all the others added together, `phi_base` and `phi_prediction`. A hundred
    /// million rows of five hundred features stay small.
    ///
    /// Where there are fewer features than `k` there are fewer columns.
    ///
    /// # Errors
    /// None that can be caused from outside.
    pub fn top_k(&self, k: usize) -> Result<RecordBatch> {
        let n = self.features.len();
        let k = k.min(n);
        let cells = self.predictions.len();
        let outputs = self.outputs.len();
        let mut names: Vec<Vec<i32>> = vec![Vec::with_capacity(cells); k];
        let mut phis: Vec<Vec<f64>> = vec![Vec::with_capacity(cells); k];
        let mut rest = Vec::with_capacity(cells);
        let mut order: Vec<usize> = Vec::with_capacity(n);
        for cell in 0..cells {
            let phi = &self.values[cell * n..(cell + 1) * n];
            order.clear();
            order.extend(0..n);
            let stronger = |a: &usize, b: &usize| {
                phi[*b].abs().total_cmp(&phi[*a].abs()).then_with(|| a.cmp(b))
            };
            if k > 0 && k < n {
                order.select_nth_unstable_by(k - 1, stronger);
            }
            order[..k].sort_unstable_by(stronger);
            // The others in their own order, so that the sum is the same bits whatever was chosen.
            order[k..].sort_unstable();
            for (place, &j) in order[..k].iter().enumerate() {
                names[place].push(j as i32);
                phis[place].push(phi[j]);
            }
            rest.push(order[k..].iter().fold(0.0, |sum, &j| sum + phi[j]));
        }
        let features: ArrayRef = Arc::new(StringArray::from(self.features.clone()));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let named = |keys: Vec<i32>, names: &ArrayRef| -> Result<ArrayRef> {
            let keys = Int32Array::from(keys);
            Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, names.clone())?))
        };
        let row = UInt64Array::from_iter_values((0..cells).map(|i| (i / outputs) as u64));
        let output = (0..cells).map(|i| (i % outputs) as i32).collect();
        let output_names: ArrayRef = Arc::new(StringArray::from(self.outputs.clone()));
        let mut fields = vec![
            Field::new("row", DataType::UInt64, false),
            Field::new("output", dictionary.clone(), false),
        ];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(row), named(output, &output_names)?];
        for (place, (keys, phi)) in names.into_iter().zip(phis).enumerate() {
            fields.push(Field::new(format!("feature_{}", place + 1), dictionary.clone(), false));
            fields.push(Field::new(format!("phi_{}", place + 1), DataType::Float64, false));
            columns.push(named(keys, &features)?);
            columns.push(Arc::new(Float64Array::from(phi)));
        }
        let base = self.base_values.iter().copied().cycle().take(cells);
        for (name, column) in [
            ("phi_rest", Float64Array::from(rest)),
            ("phi_base", Float64Array::from_iter_values(base)),
            ("phi_prediction", Float64Array::from(self.predictions.clone())),
        ] {
            fields.push(Field::new(name, DataType::Float64, false));
            columns.push(Arc::new(column));
        }
        batch(fields, columns, cells)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    use super::super::{AttributionParts, Space};
    use super::*;

    fn two() -> Attributions {
        Attributions::new(
            AttributionParts {
                features: vec!["a".into(), "b".into(), "c".into()],
                outputs: vec!["x".into(), "y".into()],
                space: Space::Margin,
                base_values: vec![1.0, 2.0],
                values: vec![1.0, -4.0, 2.0, 0.0, 0.0, 0.0, 0.5, 0.5, -0.5, 3.0, -3.0, 1.0],
                predictions: vec![0.0, 2.0, 1.5, 3.0],
            },
            1e-12,
        )
        .unwrap()
    }

    #[test]
    fn wide_columns_say_feature_and_output() {
        let batch = two().to_batch().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 10));
        let column = |name: &str| {
            batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec()
        };
        assert_eq!(column("phi:b[x]"), [-4.0, 0.5]);
        assert_eq!(column("phi:a[y]"), [0.0, 3.0]);
        assert_eq!(column("phi_base[y]"), [2.0, 2.0]);
        assert_eq!(column("phi_prediction[x]"), [0.0, 1.5]);
        let one = two().output("y").unwrap().to_batch().unwrap();
        assert_eq!(one.schema().field(0).name(), "phi:a");
        assert_eq!(one.schema().field(4).name(), "phi_prediction");
    }

    #[test]
    fn lists_hold_the_same_numbers() {
        let lists = two().to_list_batch().unwrap();
        let phi = lists.column(0).as_fixed_size_list();
        assert_eq!(phi.value_length(), 6);
        let second = phi.value(1);
        assert_eq!(second.as_primitive::<Float64Type>().values(), &two().values[6..]);
        assert_eq!(lists.schema().metadata()["phi_features"], "a\nb\nc");
    }

    #[test]
    fn the_strongest_and_the_rest_are_all() {
        let top = two().top_k(1).unwrap();
        assert_eq!(top.num_rows(), 4);
        let names = top.column_by_name("feature_1").unwrap();
        let names = arrow::compute::cast(names, &DataType::Utf8).unwrap();
        let names: Vec<_> = names.as_string::<i32>().iter().flatten().collect();
        // Ties go to the first.
        assert_eq!(names, ["b", "a", "a", "a"]);
        let get = |name: &str| {
            top.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec()
        };
        assert_eq!(get("phi_1"), [-4.0, 0.0, 0.5, 3.0]);
        assert_eq!(get("phi_rest"), [3.0, 0.0, 0.0, -2.0]);
        for (i, base) in get("phi_base").into_iter().enumerate() {
            assert_eq!(base + get("phi_1")[i] + get("phi_rest")[i], get("phi_prediction")[i]);
        }
        assert_eq!(two().top_k(99).unwrap().num_columns(), 2 + 6 + 3);
        assert_eq!(two().top_k(0).unwrap().num_columns(), 5);
    }
}
