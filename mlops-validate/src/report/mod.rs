//! What a suite found, in the forms that others read.

mod great_expectations;
