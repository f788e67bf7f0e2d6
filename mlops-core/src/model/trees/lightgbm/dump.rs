//! The JSON of `Booster.dump_model`: trees as nested objects, as deep as the tree, so that they are
//! read with a stack of their own.

use std::collections::HashMap;

use super::super::grow::{Asks, Found, grow};
use super::super::json::Json;
use super::super::reader::Reader;
use super::super::{CategorySet, Side, Target, Tree, TreeEnsemble};
use super::{Header, Missing, WHAT, is_category, number_split, pandas_labels};
use crate::{Error, Result};

pub(super) fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    let mut r = Json::new(WHAT, bytes);
    let mut header = Header::default();
    let mut trees = Vec::new();
    let mut infos = Vec::new();
    let mut has_trees = false;
    r.object(|name, r| {
        match name {
            "num_class" => header.classes = whole(r)?,
            "num_tree_per_iteration" => header.trees_per_iteration = whole(r)?,
            "max_feature_idx" => header.features = whole(r)?.saturating_add(1),
            "objective" => header.objective = Some(r.text()?.into_owned()),
            "average_output" => header.average = r.i64()? != 0,
            "feature_names" => header.names = r.texts()?,
            "pandas_categorical" => header.labels = pandas_labels(r)?,
            "feature_infos" => infos = feature_infos(r)?,
            "tree_info" => {
                has_trees = true;
                r.array(|r| {
                    trees.push(tree(r, trees.len())?);
                    Ok(())
                })?;
            }
            _ => r.skip()?,
        }
        Ok(())
    })?;
    r.end()?;
    if !has_trees {
        return Err(Error::invalid(WHAT, "a member `tree_info`", "none"));
    }
    header.is_category = vec![false; header.names.len()];
    let places: HashMap<&str, usize> =
        header.names.iter().enumerate().map(|(j, name)| (name.as_str(), j)).collect();
    for (name, is_category) in infos {
        if let Some(&j) = places.get(name.as_str()) {
            header.is_category[j] = is_category;
        }
    }
    header.ensemble(trees)
}

fn whole(r: &mut Json<'_>) -> Result<usize> {
    let n = r.i64()?;
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => r.bad("a count", n),
    }
}

/// A feature's values are listed, or span a range.
fn feature_infos(r: &mut Json<'_>) -> Result<Vec<(String, bool)>> {
    let mut all = Vec::new();
    r.object(|name, r| {
        let mut has_values = false;
        if r.is_object() {
            r.object(|key, r| {
                if key == "values" && r.is_array() {
                    r.array(|r| {
                        has_values = true;
                        r.skip()
                    })
                } else {
                    r.skip()
                }
            })?;
        } else {
            has_values = is_category(&r.text()?);
        }
        all.push((name.to_owned(), has_values));
        Ok(())
    })?;
    Ok(all)
}

/// A node of the file.
#[derive(Debug, Default)]
struct Flat {
    feature: Option<i64>,
    threshold: Option<Threshold>,
    is_category: bool,
    default_left: bool,
    missing: Option<Missing>,
    left: Option<usize>,
    right: Option<usize>,
    value: Option<f64>,
    count: f64,
}

#[derive(Debug)]
enum Threshold {
    Number(f64),
    Categories(Vec<u32>),
}

fn tree(r: &mut Json<'_>, at: usize) -> Result<Tree> {
    let mut nodes = None;
    r.object(|name, r| {
        match name {
            "tree_structure" => nodes = Some(structure(r)?),
            _ => r.skip()?,
        }
        Ok(())
    })?;
    let what = format!("tree {at} of a {WHAT}");
    let Some(mut nodes) = nodes else {
        return Err(Error::invalid(what, "a member `tree_structure`", "none"));
    };
    let n = nodes.len();
    grow(
        &what,
        Target::One(0),
        n,
        0,
        false,
        |i| usize::try_from(i).ok(),
        |i, values| {
            let node = std::mem::take(&mut nodes[i as usize]);
            let wrong = |expected: &str, found: &str| {
                Err(Error::invalid(format!("{what}, node {i}"), expected, found))
            };
            let (Some(left), Some(right)) = (node.left, node.right) else {
                let Some(value) = node.value else {
                    return wrong("`leaf_value`, or both children", "neither");
                };
                // A tree of one leaf has no count.
                let alone = n == 1 && node.count == 0.0;
                values.push(value);
                return Ok(Found::Leaf { cover: if alone { 1.0 } else { node.count } });
            };
            let Some(feature) = node.feature.and_then(|f| u32::try_from(f).ok()) else {
                return wrong("a feature", "none");
            };
            let default = Side::left_if(node.default_left);
            let (asks, missing, zero_is_missing) = match (node.is_category, node.threshold) {
                (true, Some(Threshold::Categories(set))) => {
                    (Asks::Categories(CategorySet::new(set, Side::Left)), Side::Right, false)
                }
                // One category is written as a number.
                (true, Some(Threshold::Number(c))) if c >= 0.0 && c.fract() == 0.0 && c < 2e9 => {
                    let set = CategorySet::new(vec![c as u32], Side::Left);
                    (Asks::Categories(set), Side::Right, false)
                }
                (false, Some(Threshold::Number(t))) => {
                    let Some(missing) = node.missing else {
                        return wrong("a missing type", "none");
                    };
                    number_split(t, missing, default)
                }
                _ => return wrong("a threshold of the decision's type", "another"),
            };
            let (left, right) = (left as i64, right as i64);
            let cover = node.count;
            Ok(Found::Split { feature, asks, missing, zero_is_missing, left, right, cover })
        },
    )
}

/// Nodes in the order of the file, the root first.
fn structure(r: &mut Json<'_>) -> Result<Vec<Flat>> {
    let mut nodes = vec![Flat::default()];
    // Objects that are open, and whether a member has been read there.
    let mut open = vec![(0, true)];
    r.begin_object()?;
    while let Some((at, first)) = open.last_mut() {
        let at = *at;
        let Some(name) = r.member(std::mem::replace(first, false))? else {
            open.pop();
            continue;
        };
        let (here, next) = (at, nodes.len());
        match &*name {
            side @ ("left_child" | "right_child") => {
                let child = if side == "left_child" {
                    &mut nodes[here].left
                } else {
                    &mut nodes[here].right
                };
                if child.replace(next).is_some() {
                    return r.bad("one child of a side", "two");
                }
                r.begin_object()?;
                nodes.push(Flat::default());
                open.push((next, true));
            }
            "split_feature" => nodes[here].feature = Some(r.i64()?),
            "threshold" => nodes[here].threshold = Some(threshold(r)?),
            "decision_type" => {
                let kind = r.text()?;
                nodes[here].is_category = match &*kind {
                    "==" => true,
                    "<=" => false,
                    other => return r.bad("`<=` or `==`", format_args!("`{other}`")),
                };
            }
            "default_left" => nodes[here].default_left = r.i64()? != 0,
            "missing_type" => {
                let kind = r.text()?;
                nodes[here].missing = Some(match &*kind {
                    "None" => Missing::None,
                    "Zero" => Missing::Zero,
                    "NaN" => Missing::Nan,
                    other => return r.bad("`None`, `Zero` or `NaN`", format_args!("`{other}`")),
                });
            }
            "leaf_value" => nodes[here].value = Some(r.f64()?),
            "internal_count" | "leaf_count" => nodes[here].count = r.f64()?,
            "leaf_features" | "leaf_coeff" => {
                return r.bad("a tree of constant leaves", "a linear tree, which is not one");
            }
            _ => r.skip()?,
        }
    }
    Ok(nodes)
}

/// A number, or categories as `1||5||9`.
fn threshold(r: &mut Json<'_>) -> Result<Threshold> {
    if !r.is_text() {
        return Ok(Threshold::Number(r.f64()?));
    }
    let text = r.text()?;
    if let Ok(number) = text.parse() {
        return Ok(Threshold::Number(number));
    }
    let parts: Option<Vec<u32>> = text.split("||").map(|c| c.parse().ok()).collect();
    match parts {
        Some(parts) => Ok(Threshold::Categories(parts)),
        None => r.bad("categories", format_args!("`{text}`")),
    }
}
