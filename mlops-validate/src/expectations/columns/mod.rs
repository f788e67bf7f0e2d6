//! Questions that each row answers by the values of several columns.

mod columns_equal;
mod compound_unique;
mod custom_rows;
mod pair_equal;
mod pair_greater_than;
mod pair_in_set;
mod row_predicate;
mod satisfies;
mod sum_equals;
mod unique_within_record;

pub use columns_equal::{ColumnsEqual, columns_equal};
pub use compound_unique::{CompoundUnique, compound_unique};
pub use custom_rows::{CustomRows, custom_rows};
pub use pair_equal::{PairEqual, pair_equal};
pub use pair_greater_than::{PairGreaterThan, pair_greater_than};
pub use pair_in_set::{PairInSet, pair_in_set};
pub use row_predicate::IgnoreRows;
pub use satisfies::{Satisfies, satisfies};
pub use sum_equals::{SumEquals, sum_equals};
pub use unique_within_record::{UniqueWithinRecord, unique_within_record};
