//! What the command line says.

use std::path::PathBuf;

use mlops::core::{Error, Result};

/// The text of `--help`.
pub const HELP: &str = "\
The whole life of a model, from raw data to rollback.

Without arguments it makes its own stream of loan applications, with a fault,
a drift and a bias of known size injected in known months.

  cargo run --release --example lifecycle -- [OPTIONS]

  --seed N               the seed of the made stream and of every split (7)
  --rows N               rows of the made stream (200000)
  --seeds N              run N seeds, print only what was detected when

  --data FILE            a CSV or Parquet file instead of the made stream
  --label COLUMN         what to predict (with --data)
  --positive VALUE       its positive class (1, true, yes, or the rarer one)
  --production FILE      what came in production (else the last part of FILE)
  --sensitive COLUMN     a sensitive feature; may be given again
  --time COLUMN          the time of a row: the past trains, the rest is production
  --drop COLUMN          a column to leave out; may be given again

  --max-gap X            the most that selection rates may differ (0.1)
  --out DIR              where the report and the registry go (mlops-run)
  -h, --help             this text
";

/// The options.
#[derive(Clone, Debug)]
pub struct Args {
    pub seed: u64,
    pub rows: usize,
    pub seeds: Option<u64>,
    pub data: Option<Data>,
    pub max_gap: f64,
    pub out: PathBuf,
}

/// A file of the caller's own.
#[derive(Clone, Debug)]
pub struct Data {
    pub file: PathBuf,
    pub label: String,
    pub positive: Option<String>,
    pub production: Option<PathBuf>,
    pub sensitive: Vec<String>,
    pub time: Option<String>,
    pub drop: Vec<String>,
}

/// Reads the command line; `None` if it asks for help.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Option<Args>> {
    use lexopt::prelude::*;

    let bad =
        |what: &str, e: &dyn std::fmt::Display| Error::invalid(what, "an option of --help", e);
    let mut parser = lexopt::Parser::from_args(args);
    let mut all = Args {
        seed: 7,
        rows: 200_000,
        seeds: None,
        data: None,
        max_gap: 0.1,
        out: "mlops-run".into(),
    };
    let (mut file, mut label, mut positive, mut production, mut time) =
        (None, None, None, None, None);
    let (mut sensitive, mut drop) = (Vec::new(), Vec::new());
    let mut only_with_data = Vec::new();
    while let Some(arg) = parser.next().map_err(|e| bad("command line", &e))? {
        let name = match &arg {
            Short(c) => format!("-{c}"),
            Long(name) => format!("--{name}"),
            Value(value) => value.to_string_lossy().into_owned(),
        };
        let mut text = || -> Result<String> {
            let value = parser.value().map_err(|e| bad(&name, &e))?;
            value.string().map_err(|e| bad(&name, &e))
        };
        let number = |text: String| -> Result<u64> {
            text.parse().map_err(|_| Error::invalid(&name, "a whole number", text))
        };
        if matches!(
            name.as_str(),
            "--label" | "--positive" | "--production" | "--sensitive" | "--time" | "--drop"
        ) {
            only_with_data.push(name.clone());
        }
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--seed" => all.seed = number(text()?)?,
            "--rows" => {
                all.rows = number(text()?)? as usize;
                if !(5_000..=10_000_000).contains(&all.rows) {
                    return Err(Error::invalid("--rows", "5000 to 10000000", all.rows));
                }
            }
            "--seeds" => all.seeds = Some(number(text()?)?.max(1)),
            "--data" => file = Some(PathBuf::from(text()?)),
            "--label" => label = Some(text()?),
            "--positive" => positive = Some(text()?),
            "--production" => production = Some(PathBuf::from(text()?)),
            "--sensitive" => sensitive.push(text()?),
            "--time" => time = Some(text()?),
            "--drop" => drop.push(text()?),
            "--max-gap" => {
                let value = text()?;
                all.max_gap =
                    value.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| {
                        Error::invalid("--max-gap", "a number from 0 to 1", value)
                    })?;
            }
            "--out" => all.out = PathBuf::from(text()?),
            _ => return Err(bad("command line", &format!("`{name}`"))),
        }
    }
    match (file, label) {
        (Some(file), Some(label)) => {
            all.data = Some(Data { file, label, positive, production, sensitive, time, drop });
        }
        (Some(_), None) => {
            return Err(Error::invalid("--label", "the column to predict", "nothing"));
        }
        (None, _) if !only_with_data.is_empty() => {
            let found = format!("{} without --data", only_with_data.join(", "));
            return Err(Error::invalid("command line", "--data FILE", found));
        }
        (None, _) => {}
    }
    Ok(Some(all))
}
