//! Block numbering of timm's EfficientNet family: `blocks.STAGE.REPEAT.PART`.

/// Splits `blocks.S.B.part` into the block's number, counted through all stages, and `part`.
pub(super) fn flat_block<'a>(layer: &'a str, repeats: &[usize]) -> Option<(usize, &'a str)> {
    let mut parts = layer.strip_prefix("blocks.")?.splitn(3, '.');
    let stage: usize = parts.next()?.parse().ok()?;
    let repeat: usize = parts.next()?.parse().ok()?;
    if repeat >= *repeats.get(stage)? {
        return None;
    }
    Some((repeats[..stage].iter().sum::<usize>() + repeat, parts.next()?))
}

/// The stage and repeat of block number `index`, counted through all stages.
pub(super) fn stage_of(index: usize, repeats: &[usize]) -> Option<(usize, usize)> {
    let mut left = index;
    for (stage, &n) in repeats.iter().enumerate() {
        if left < n {
            return Some((stage, left));
        }
        left -= n;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbering_there_and_back() {
        let repeats = [1, 2, 3];
        for index in 0..6 {
            let (stage, repeat) = stage_of(index, &repeats).unwrap();
            let layer = format!("blocks.{stage}.{repeat}.bn1");
            assert_eq!(flat_block(&layer, &repeats), Some((index, "bn1")));
        }
        assert_eq!(stage_of(6, &repeats), None);
        assert_eq!(flat_block("blocks.1.2.bn1", &repeats), None);
        assert_eq!(flat_block("blocks.9.0.bn1", &repeats), None);
        assert_eq!(flat_block("blocks.x.0.bn1", &repeats), None);
    }
}
