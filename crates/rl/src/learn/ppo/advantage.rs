//! Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438).

/// Advantages `[horizon, worlds]` from rewards, values and what followed.
///
/// `next[t]` is the value of the state after step `t`: of the final observation where an episode was cut,
/// and 0 where it ended by itself. Over an end of either kind nothing is carried back.
pub(crate) fn advantages(
    worlds: usize,
    [rewards, values, next]: [&[f32]; 3],
    ended: &[bool],
    gamma: f32,
    lambda: f32,
) -> Vec<f32> {
    let mut out = vec![0.0; rewards.len()];
    let mut carried = vec![0.0f32; worlds];
    for at in (0..rewards.len()).rev() {
        let delta = rewards[at] + gamma * next[at] - values[at];
        let kept = if ended[at] { 0.0 } else { gamma * lambda * carried[at % worlds] };
        carried[at % worlds] = delta + kept;
        out[at] = carried[at % worlds];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_1_is_the_return_minus_the_value() {
        let rewards = [1.0, 2.0, 4.0];
        let values = [0.5, 0.25, 0.125];
        let next = [0.25, 0.125, 8.0];
        let found = advantages(1, [&rewards, &values, &next], &[false; 3], 0.5, 1.0);
        // 4 + 0.5·8 = 8; 2 + 0.5·8 = 6; 1 + 0.5·6 = 4.
        assert_eq!(found, [4.0 - 0.5, 6.0 - 0.25, 8.0 - 0.125]);
    }

    #[test]
    fn nothing_passes_an_end_and_worlds_do_not_mix() {
        let rewards = [1.0, 10.0, 1.0, 10.0];
        let zero = [0.0; 4];
        let ended = [true, false, false, false];
        let found = advantages(2, [&rewards, &zero, &zero], &ended, 1.0, 1.0);
        assert_eq!(found, [1.0, 20.0, 1.0, 10.0]);
    }
}
