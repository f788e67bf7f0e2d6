//! The parts of an ONNX graph that a tree model has.

use std::collections::HashMap;

use super::protobuf::{Fields, Value};
use crate::Result;

/// The element types of tensors.
pub(super) const FLOAT: u64 = 1;
pub(super) const DOUBLE: u64 = 11;

/// A model's graph.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Operator<'a>>,
    /// Element type and number of columns of each input.
    pub(super) inputs: HashMap<&'a str, (u64, Option<u64>)>,
}

/// A node of the graph.
#[derive(Debug, Default)]
pub(super) struct Operator<'a> {
    pub(super) kind: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: HashMap<&'a str, Attribute<'a>>,
}

/// An attribute of a node.
#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    pub(super) number: Option<i64>,
    pub(super) text: Option<&'a str>,
    pub(super) numbers: Vec<i64>,
    pub(super) floats: Vec<f64>,
    pub(super) texts: Vec<&'a str>,
    /// The element type of a tensor, whose items are among the others.
    pub(super) tensor: Option<u64>,
}

impl<'a> Graph<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut model = Fields::new(bytes);
        let mut graph = None;
        while let Some((field, value)) = model.next()? {
            if field == 7 {
                graph = Some(Self::of(value.message(&model)?)?);
            }
        }
        match graph {
            Some(graph) => Ok(graph),
            None => model.bad("a graph", "none"),
        }
    }

    fn of(mut fields: Fields<'a>) -> Result<Self> {
        let mut graph = Self::default();
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => graph.nodes.push(Operator::of(value.message(&fields)?)?),
                11 => {
                    let (name, kind, columns) = input(value.message(&fields)?)?;
                    graph.inputs.insert(name, (kind, columns));
                }
                _ => {}
            }
        }
        Ok(graph)
    }
}

/// Name, element type, and the number of columns where it is known.
fn input(mut fields: Fields<'_>) -> Result<(&str, u64, Option<u64>)> {
    let (mut name, mut kind, mut columns) = ("", 0, None);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => name = value.message(&fields)?.text()?,
            2 => {
                let mut of = value.message(&fields)?;
                while let Some((field, value)) = of.next()? {
                    if field == 1 {
                        (kind, columns) = tensor_type(value.message(&of)?)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((name, kind, columns))
}

fn tensor_type(mut fields: Fields<'_>) -> Result<(u64, Option<u64>)> {
    let (mut kind, mut columns) = (0, None);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => kind = value.number(&fields)?,
            2 => {
                let mut shape = value.message(&fields)?;
                while let Some((field, value)) = shape.next()? {
                    if field == 1 {
                        // The last dimension counts.
                        columns = None;
                        let mut dimension = value.message(&shape)?;
                        while let Some((field, value)) = dimension.next()? {
                            if field == 1 {
                                columns = Some(value.number(&dimension)?);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, columns))
}

impl<'a> Operator<'a> {
    fn of(mut fields: Fields<'a>) -> Result<Self> {
        let mut node = Self::default();
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => node.inputs.push(value.message(&fields)?.text()?),
                2 => node.outputs.push(value.message(&fields)?.text()?),
                4 => node.kind = value.message(&fields)?.text()?,
                5 => {
                    let (name, attribute) = Attribute::of(value.message(&fields)?)?;
                    node.attributes.insert(name, attribute);
                }
                _ => {}
            }
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn of(mut fields: Fields<'a>) -> Result<(&'a str, Self)> {
        let (mut name, mut all) = ("", Self::default());
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, value) => name = value.message(&fields)?.text()?,
                (3, value) => all.number = Some(value.number(&fields)? as i64),
                (4, value) => all.text = Some(value.message(&fields)?.text()?),
                (5, value) => all.read_tensor(value.message(&fields)?)?,
                (2 | 7, value) => value.floats(&fields, &mut all.floats)?,
                (8, value) => value.numbers(&fields, &mut all.numbers)?,
                (9, value) => all.texts.push(value.message(&fields)?.text()?),
                _ => {}
            }
        }
        Ok((name, all))
    }

    fn read_tensor(&mut self, mut fields: Fields<'a>) -> Result<()> {
        let (mut kind, mut raw): (u64, Option<Fields<'a>>) = (0, None);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => kind = value.number(&fields)?,
                4 => value.floats(&fields, &mut self.floats)?,
                5 | 7 => value.numbers(&fields, &mut self.numbers)?,
                9 => raw = Some(value.message(&fields)?),
                10 => value.doubles(&fields, &mut self.floats)?,
                _ => {}
            }
        }
        if let Some(raw) = raw {
            match kind {
                FLOAT => Value::Bytes(raw).floats(&fields, &mut self.floats)?,
                DOUBLE => Value::Bytes(raw).doubles(&fields, &mut self.floats)?,
                2 => self.numbers.extend(raw.bytes().iter().map(|&b| i64::from(b))),
                7 => {
                    let whole = raw.bytes().as_chunks::<8>().0.iter();
                    self.numbers.extend(whole.map(|raw| i64::from_le_bytes(*raw)));
                }
                other => return raw.bad("a tensor of numbers", format_args!("type {other}")),
            }
        }
        self.tensor = Some(kind);
        Ok(())
    }
}
