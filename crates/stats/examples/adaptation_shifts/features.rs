//! Reads features that `offshoot extract` wrote as safetensors.

use std::path::Path;

use offshoot_stats::{Matrix, Rows, pca};
use serde_json::Value;

type Failed = Box<dyn std::error::Error>;

/// Rows with a label.
pub fn read(path: &Path) -> Result<(Matrix, Vec<u32>), Failed> {
    let bytes = std::fs::read(path)?;
    let broken = || format!("{}: not a file of `offshoot extract`", path.display());
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let header: Value = serde_json::from_slice(rest.get(..length).ok_or_else(broken)?)?;
    let data = &rest[length..];
    let values = |name: &str| -> Result<(Vec<usize>, &[u8]), Failed> {
        let entry = header.get(name).ok_or_else(broken)?;
        let numbers = |key: &str| -> Vec<usize> {
            let list = entry[key].as_array().into_iter().flatten();
            list.filter_map(|v| Some(v.as_u64()? as usize)).collect()
        };
        let (shape, place) = (numbers("shape"), numbers("data_offsets"));
        let [from, to] = place[..] else { return Err(broken().into()) };
        Ok((shape, data.get(from..to).ok_or_else(broken)?))
    };
    let (shape, features) = values("features")?;
    let [n, d] = shape[..] else { return Err(broken().into()) };
    let features = features.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let all = Matrix::new(n, d, features).ok_or_else(broken)?;
    let (_, labels) = values("labels")?;
    let labels: Vec<i64> =
        labels.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let known: Vec<usize> = (0..n).filter(|&i| labels.get(i).is_some_and(|y| *y >= 0)).collect();
    let classes = known.iter().map(|&i| labels[i] as u32).collect();
    Ok((Matrix::gather(all.rows(), &known), classes))
}

/// Both sides along the first `most` principal directions of all rows, which need no labels.
pub fn shortened(source: Rows<'_>, target: Rows<'_>, most: usize) -> Result<[Matrix; 2], Failed> {
    if source.d() <= most {
        let whole = |rows: Rows<'_>| Matrix::gather(rows, &(0..rows.n()).collect::<Vec<_>>());
        return Ok([whole(source), whole(target)]);
    }
    let pooled = [source.data(), target.data()].concat();
    let pooled = Rows::new(source.n() + target.n(), source.d(), &pooled).ok_or("other widths")?;
    let scores: Vec<f32> = pca(pooled, most)?.scores.into_iter().map(|x| x as f32).collect();
    let (source_part, target_part) = scores.split_at(source.n() * most);
    let side = |n, part: &[f32]| Matrix::new(n, most, part.to_vec()).ok_or("fewer directions");
    Ok([side(source.n(), source_part)?, side(target.n(), target_part)?])
}
