//! Arrow IPC files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{FileReader, FileReaderBuilder};
use arrow::ipc::{Block, root_as_footer, root_as_message};
use mlops_core::{Batches, DataSource, Digest, Error, Partition, Result};

use super::contain::contain;
use super::stamp::Stamp;

/// An Arrow IPC file (Feather 2), uncompressed. Its partitions are runs of record batches with at
/// least [`PARTITION_ROWS`](Self::PARTITION_ROWS) rows. A file that is cut off or damaged is an
/// error that names it.
#[derive(Clone, Debug)]
pub struct IpcSource {
    path: PathBuf,
    stamp: Stamp,
    schema: SchemaRef,
    parts: Vec<Part>,
}

/// A run of record batches.
#[derive(Clone, Copy, Debug)]
struct Part {
    first_batch: usize,
    batches: usize,
    first_row: u64,
    rows: u64,
    bytes: u64,
}

const MAGIC: &[u8] = b"ARROW1";
/// The magic, the footer's length, the magic.
const TAIL: u64 = 10;

impl IpcSource {
    /// Record batches are gathered into a partition until it has this many rows.
    pub const PARTITION_ROWS: u64 = 1 << 17;

    /// The file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Decode`] or [`Error::Other`] with the file's name if it is not a
    /// whole Arrow file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        contain(path, || {
            let file = File::open(path).map_err(|e| Error::io(path, e))?;
            let stamp = Stamp::of(path, &file)?;
            let blocks = blocks(path)?;
            let reader = FileReader::try_new(BufReader::new(file), None)
                .map_err(|e| Error::other(path.display().to_string(), e))?;
            let path = path.to_path_buf();
            Ok(Self { path, stamp, schema: reader.schema(), parts: parts(blocks) })
        })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The rows and bytes of each record batch, from the footer and the messages' heads. Every length
/// is held against the file's before anything is allocated for it.
fn blocks(path: &Path) -> Result<Vec<(u64, u64)>> {
    let io = |e| Error::io(path, e);
    let bad = |offset: u64, expected: &str, found: String| Error::Decode {
        what: path.display().to_string(),
        offset,
        expected: expected.into(),
        found,
    };
    let mut file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let mut tail = [0; TAIL as usize];
    let whole = len > TAIL + 8 && {
        file.seek(SeekFrom::End(-(TAIL as i64))).map_err(io)?;
        file.read_exact(&mut tail).map_err(io)?;
        tail.ends_with(MAGIC)
    };
    if !whole {
        let found = format!("a file of {len} bytes that is cut off or not Arrow");
        let expected = "ARROW1, the end of a whole Arrow file";
        return Err(bad(len.saturating_sub(6), expected, found));
    }
    let footer_len = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let start = (len - TAIL)
        .checked_sub(footer_len.into())
        .ok_or_else(|| bad(len - TAIL, "the footer's length", footer_len.to_string()))?;
    let mut bytes = vec![0; footer_len as usize];
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    file.read_exact(&mut bytes).map_err(io)?;
    let footer = root_as_footer(&bytes).map_err(|e| bad(start, "a footer", e.to_string()))?;
    let inside = |block: &Block| {
        let (offset, head) = (u64::try_from(block.offset()).ok()?, block.metaDataLength());
        let (head, body) = (u64::try_from(head).ok()?, u64::try_from(block.bodyLength()).ok()?);
        let end = offset.checked_add(head)?.checked_add(body)?;
        (end <= start && head >= 8).then_some((offset, head, head + body))
    };
    let outside = |block: &Block| bad(start, "a block within the file", format!("{block:?}"));
    for block in footer.dictionaries().iter().flatten() {
        inside(block).ok_or_else(|| outside(block))?;
    }
    let mut blocks = Vec::new();
    for block in footer.recordBatches().iter().flatten() {
        let (offset, head, size) = inside(block).ok_or_else(|| outside(block))?;
        let mut bytes = vec![0; head as usize];
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        // Files from before 0.15 have no continuation mark before the length.
        let prefix = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let rows = root_as_message(&bytes[prefix..])
            .ok()
            .and_then(|message| u64::try_from(message.header_as_record_batch()?.length()).ok())
            .ok_or_else(|| bad(offset, "a record batch", "something else".into()))?;
        blocks.push((rows, size));
    }
    Ok(blocks)
}

fn parts(blocks: Vec<(u64, u64)>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at: u64 = 0;
    for (index, (rows, bytes)) in blocks.into_iter().enumerate() {
        match parts.last_mut() {
            Some(part) if part.rows < IpcSource::PARTITION_ROWS => {
                part.batches += 1;
                part.rows = part.rows.saturating_add(rows);
                part.bytes = part.bytes.saturating_add(bytes);
            }
            _ => parts.push(Part { first_batch: index, batches: 1, first_row: at, rows, bytes }),
        }
        at = at.saturating_add(rows);
    }
    parts
}

impl DataSource for IpcSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let origin = self.path.display().to_string();
        let partition = |part: &Part| {
            Partition::new(&origin)
                .starting_at(part.first_row)
                .with_rows(part.rows)
                .with_bytes(part.bytes)
        };
        Ok(self.parts.iter().map(partition).collect())
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let part = *self.parts.get(partition).ok_or_else(|| {
            Error::invalid("partition", format!("one of {}", self.parts.len()), partition)
        })?;
        let wanted =
            projection.map_or_else(|| (0..self.schema.fields().len()).collect(), <[usize]>::to_vec);
        let schema = Arc::new(self.schema.project(&wanted)?);
        // As for Parquet: read in the file's order, each column once.
        let mut read = wanted.clone();
        read.sort_unstable();
        read.dedup();
        let order = wanted.iter().filter_map(|column| read.binary_search(column).ok()).collect();
        let reader = contain(&self.path, || {
            // Again, for the file may be another by now.
            blocks(&self.path)?;
            let file = self.stamp.reopen(&self.path)?;
            let error = |e| Error::other(self.path.display().to_string(), e);
            let mut reader = FileReaderBuilder::new()
                .with_projection(read)
                .build(BufReader::new(file))
                .map_err(error)?;
            reader.set_index(part.first_batch).map_err(error)?;
            Ok(reader)
        })?;
        Ok(Batches::new(Reader {
            source: Some(reader),
            path: self.path.clone(),
            schema,
            order,
            batches: part.batches,
            rows: part.rows,
            batch_size: batch_size.max(1),
            ready: VecDeque::new(),
        }))
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let reading = "ipc";
        (self.path.display().to_string() == origin).then(|| self.stamp.fingerprint(reading))?
    }
}

struct Reader {
    source: Option<FileReader<BufReader<File>>>,
    path: PathBuf,
    schema: SchemaRef,
    order: Vec<usize>,
    batches: usize,
    rows: u64,
    batch_size: usize,
    ready: VecDeque<RecordBatch>,
}

impl Reader {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && self.batches > 0 {
            let Some(source) = &mut self.source else { return Ok(None) };
            let batch = contain(&self.path, || {
                let error = |e| Error::other(self.path.display().to_string(), e);
                source.next().transpose().map_err(error)
            })?;
            self.batches -= 1;
            let n = batch.as_ref().map_or(0, |b| b.num_rows() as u64);
            self.rows = match (self.rows.checked_sub(n), self.batches) {
                (Some(left), 1..) | (Some(left @ 0), 0) => left,
                _ => {
                    let expected = "the number of rows that its heads say";
                    return Err(Error::invalid(
                        self.path.display().to_string(),
                        expected,
                        "another",
                    ));
                }
            };
            let Some(batch) = batch else { continue };
            let columns = self.order.iter().map(|&i| batch.column(i).clone()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
            for at in (0..batch.num_rows()).step_by(self.batch_size) {
                self.ready.push_back(batch.slice(at, self.batch_size.min(batch.num_rows() - at)));
            }
        }
        Ok(self.ready.pop_front())
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch().transpose();
        if !matches!(batch, Some(Ok(_))) {
            self.source = None;
        }
        batch
    }
}
