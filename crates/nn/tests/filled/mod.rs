//! Weights and inputs that need no file: `reference/recipes.py` describes them.

use offshoot_nn::{Array, Params, Recipe};

/// Every parameter of `recipe`, filled from its key.
pub fn filled_params(recipe: &Recipe) -> Params {
    let parameters = recipe.parameters().into_iter().chain(recipe.head_parameters());
    parameters.map(|p| (p.key.clone(), filled(&p.key, &p.shape))).collect()
}

/// The same values as `filled` of the script.
pub fn filled(key: &str, shape: &[usize]) -> Array {
    let hash = fnv1a64(key);
    let fan_in: usize = shape[1..].iter().product();
    let bound = (4.5 / fan_in as f64).sqrt() as f32;
    let value = |i: usize| {
        let u = (splitmix64(hash.wrapping_add(i as u64)) >> 40) as f32 / (1 << 24) as f32;
        let signed = 2.0 * u - 1.0;
        match shape.len() {
            _ if key.starts_with("input") => signed * 2.0,
            1 if key.ends_with("running_var") => 0.5 + u,
            1 if key.ends_with("weight") => 0.75 + 0.5 * u,
            1 => signed * 0.25,
            _ => signed * bound,
        }
    };
    Array { shape: shape.to_vec(), data: (0..shape.iter().product()).map(value).collect() }
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// One step of SplitMix64.
pub fn splitmix64(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
