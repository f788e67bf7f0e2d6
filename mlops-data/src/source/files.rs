//! Files by their names: one of any format, or many as one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use mlops_core::{
    Batches, DataSource, Digest, Error, Partition, Result, RowGroup, RowId, Statistics,
};

use super::csv::{CsvOptions, CsvSource};
use super::ipc::IpcSource;
use super::parquet::ParquetSource;

/// The format that a file's extension names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv(u8),
    Parquet,
    Ipc,
}

const EXTENSIONS: &str = "csv, tsv, parquet, pq, arrow, ipc or feather";

fn format(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "csv" => Format::Csv(b','),
        "tsv" => Format::Csv(b'\t'),
        "parquet" | "pq" => Format::Parquet,
        "arrow" | "ipc" | "feather" => Format::Ipc,
        _ => return None,
    })
}

/// A file, a directory of files, or the files of a pattern as a source: the format is what the
/// extension says (csv, tsv, parquet, pq, arrow, ipc, feather). For options, open the format's own source.
///
/// ```
/// use mlops_core::DataSource;
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("2024-01.csv"), "x\n1\n")?;
/// std::fs::write(dir.path().join("2024-02.csv"), "x\n2.5\n")?;
/// let months = mlops_data::open(dir.path().join("2024-*.csv"))?;
/// assert_eq!(months.partitions()?.len(), 2);
/// assert_eq!(months.schema().field(0).data_type().to_string(), "Float64");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] for a file that is not there, [`Error::Invalid`] for an extension that is not
/// known or a pattern that nothing matches; those of the format's source and of [`FilesSource`].
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn DataSource>> {
    let path = path.as_ref();
    // A file may be called `a[*].csv`; what is there counts before what is a pattern.
    if path.is_dir() || (!path.exists() && is_pattern(path)) {
        return Ok(Box::new(FilesSource::open(path)?));
    }
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    Ok(match format(path) {
        Some(Format::Csv(delimiter)) => {
            Box::new(CsvOptions::new().delimiter(delimiter).open(path)?)
        }
        Some(Format::Parquet) => Box::new(ParquetSource::open(path)?),
        Some(Format::Ipc) => Box::new(IpcSource::open(path)?),
        None => {
            let what = format!("extension of {}", path.display());
            let found = path.extension().map_or("none".into(), |e| e.to_string_lossy());
            return Err(Error::invalid(what, EXTENSIONS, found));
        }
    })
}

/// Several files of one schema as one source, in the order of their names.
///
/// Types of text files are those that the values of all of them can be read as. Rows keep the
/// names that they have in their own files.
#[derive(Debug)]
pub struct FilesSource {
    schema: SchemaRef,
    files: Vec<(PathBuf, Box<dyn DataSource>)>,
    /// The number of each file's first partition.
    starts: Vec<usize>,
    by_origin: HashMap<String, usize>,
}

impl FilesSource {
    /// All files of known formats in a directory (not in those below it; names that start with
    /// `.` or `_` are passed over), or all that a pattern matches: `*` stands for any characters
    /// within a name, `?` for one.
    ///
    /// # Errors
    /// Nothing found; [`Error::Invalid`] with the file and the column for a schema that differs
    /// from the first file's; those of the format's source.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut paths = if path.is_dir() { in_directory(path)? } else { matching(path)? };
        paths.sort();
        if paths.is_empty() {
            let expected = format!("at least one file with extension {EXTENSIONS}");
            return Err(Error::invalid(path.display().to_string(), expected, "none"));
        }
        Self::of(paths)
    }

    /// These files, in this order.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let paths: Vec<_> = paths.into_iter().collect();
        let texts = paths.iter().map(|path| match format(path) {
            Some(Format::Csv(delimiter)) => {
                CsvOptions::new().delimiter(delimiter).open(path).map(Some)
            }
            _ => Ok(None),
        });
        let texts: Vec<_> = texts.collect::<Result<_>>()?;
        let files = if texts.iter().all(Option::is_some) {
            unified(texts.into_iter().flatten().collect())?
        } else {
            let files = paths.into_iter().map(|path| Ok((path.clone(), open(&path)?)));
            files.collect::<Result<Vec<_>>>()?
        };
        let Some((first, source)) = files.first() else {
            return Err(Error::invalid("files", "at least one", "none"));
        };
        let schema = source.schema();
        for (path, source) in &files[1..] {
            same(first, &schema, path, &source.schema())?;
        }
        let mut starts = Vec::with_capacity(files.len());
        let mut by_origin = HashMap::with_capacity(files.len());
        let mut start = 0;
        for (i, (path, source)) in files.iter().enumerate() {
            starts.push(start);
            start += source.partitions()?.len();
            by_origin.insert(path.display().to_string(), i);
        }
        Ok(Self { schema, files, starts, by_origin })
    }

    /// The file of a partition, and the partition's number there.
    fn place(&self, partition: usize) -> Result<(&dyn DataSource, usize)> {
        // Of files that start at the same number all but the last are empty.
        let file = self.starts.partition_point(|start| *start <= partition);
        let Some(file) = file.checked_sub(1) else {
            return Err(Error::invalid("partition", "one of 0", partition));
        };
        Ok((&*self.files[file].1, partition - self.starts[file]))
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

/// Text files with the types that take the values of all.
fn unified(sources: Vec<CsvSource>) -> Result<Vec<(PathBuf, Box<dyn DataSource>)>> {
    let mut evidence: Option<super::InferredSchema> = None;
    for source in &sources {
        let Some(inferred) = source.inferred() else { continue };
        let name = source.path().file_name().unwrap_or_default().to_string_lossy();
        let inferred = inferred.clone().of_file(&name);
        match &mut evidence {
            None => evidence = Some(inferred),
            Some(all) => {
                // Names first: evidence is taken together column by column.
                same_names(sources[0].path(), &all.schema(), source.path(), &inferred.schema())?;
                all.merge(&inferred);
            }
        }
    }
    let schema = evidence.map(|e| e.schema());
    Ok(sources
        .into_iter()
        .map(|source| {
            let path = source.path().to_path_buf();
            let source: Box<dyn DataSource> = match &schema {
                Some(schema) => Box::new(source.with_types(schema.clone())),
                None => Box::new(source),
            };
            (path, source)
        })
        .collect())
}

fn same_names(first: &Path, expected: &SchemaRef, path: &Path, found: &SchemaRef) -> Result<()> {
    let n = expected.fields().len().max(found.fields().len());
    for i in 0..n {
        let name = |schema: &SchemaRef| {
            schema.fields().get(i).map_or("no column".into(), |f| format!("`{}`", f.name()))
        };
        if name(expected) != name(found) {
            return Err(Error::invalid(
                format!("{}, column {}", path.display(), i + 1),
                format!("{} as in {}", name(expected), first.display()),
                name(found),
            ));
        }
    }
    Ok(())
}

fn same(first: &Path, expected: &SchemaRef, path: &Path, found: &SchemaRef) -> Result<()> {
    same_names(first, expected, path, found)?;
    for (a, b) in expected.fields().iter().zip(found.fields()) {
        if a.data_type() != b.data_type() || a.is_nullable() != b.is_nullable() {
            let describe = |f: &arrow::datatypes::FieldRef| {
                let nullable = if f.is_nullable() { "nullable" } else { "not null" };
                format!("{} ({nullable})", f.data_type())
            };
            return Err(Error::invalid(
                format!("{}, column `{}`", path.display(), b.name()),
                format!("{} as in {}", describe(a), first.display()),
                describe(b),
            ));
        }
    }
    Ok(())
}

impl DataSource for FilesSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let mut partitions = Vec::new();
        for (_, source) in &self.files {
            partitions.extend(source.partitions()?);
        }
        Ok(partitions)
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let (source, partition) = self.place(partition)?;
        source.read(partition, projection, batch_size)
    }

    fn statistics(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
    ) -> Result<Option<Statistics>> {
        let (source, partition) = self.place(partition)?;
        source.statistics(partition, projection)
    }

    fn row_group(&self, row: &RowId) -> Option<RowGroup> {
        self.files[*self.by_origin.get(&row.origin)?].1.row_group(row)
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        self.files[*self.by_origin.get(origin)?].1.fingerprint(origin)
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

fn in_directory(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| Error::io(directory, e))? {
        let path = entry.map_err(|e| Error::io(directory, e))?.path();
        let hidden =
            path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(['.', '_']));
        if !hidden && format(&path).is_some() && path.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The files that a pattern matches, directory by directory.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        if !text.contains(['*', '?']) {
            for path in &mut found {
                path.push(component);
            }
            continue;
        }
        let text: Vec<char> = text.chars().collect();
        let mut next = Vec::new();
        for directory in found {
            let here = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            // What is no directory has nothing in it that could match.
            if !here.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(here).map_err(|e| Error::io(here, e))? {
                let name = entry.map_err(|e| Error::io(here, e))?.file_name();
                let chars: Vec<char> = name.to_string_lossy().chars().collect();
                if chars.first() != Some(&'.') && matches(&text, &chars) {
                    next.push(directory.join(name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.is_file());
    Ok(found)
}

/// Whether a name is one of a pattern; in time that is their lengths' product.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            // Let the last star take one character more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns() {
        let matches = |p: &str, n: &str| {
            let chars = |t: &str| t.chars().collect::<Vec<_>>();
            super::matches(&chars(p), &chars(n))
        };
        assert!(matches("*.csv", "a.csv") && matches("a*b*c", "aXbYbZc") && matches("?.?", "a.b"));
        assert!(matches("*", "") && matches("**", "x"));
        assert!(!matches("*.csv", "a.csv.gz") && !matches("a?", "a") && !matches("", "x"));
    }
}
