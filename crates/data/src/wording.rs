//! Lists of methods with options, as a user writes them: `flip,crop(scale=0.5,ratio=1.3)`.

use std::collections::BTreeMap;

/// One method of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method's name.
    pub name: String,
    /// Its options by name.
    pub options: BTreeMap<String, f64>,
}

/// An option that a method has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// Its value where the user gives none.
    pub default: f64,
    /// What is possible.
    pub range: [f64; 2],
}

/// Splits a list; an empty text and `none` are lists without methods.
///
/// # Errors
/// A text that is no list: what was expected, and where.
pub fn calls(text: &str) -> Result<Vec<Call>, String> {
    let mut rest = text.trim();
    let mut calls = Vec::new();
    if rest == "none" {
        return Ok(calls);
    }
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        if name.is_empty() {
            return Err(format!("`{text}`: a name was expected before `{}`", &rest[end..]));
        }
        let mut options = BTreeMap::new();
        rest = &rest[end..];
        if let Some(inner) = rest.strip_prefix('(') {
            let close = inner
                .find(')')
                .ok_or_else(|| format!("`{text}`: the bracket after `{name}` is not closed"))?;
            for pair in inner[..close].split(',').filter(|pair| !pair.trim().is_empty()) {
                let (key, value) = pair
                    .split_once('=')
                    .ok_or_else(|| format!("`{text}`: `{pair}` should be NAME=NUMBER"))?;
                let value = value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
                let value =
                    value.ok_or_else(|| format!("`{text}`: `{pair}` should be NAME=NUMBER"))?;
                options.insert(key.trim().to_string(), value);
            }
            rest = &inner[close + 1..];
        }
        calls.push(Call { name: name.to_string(), options });
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(more) if !more.trim().is_empty() => rest = more.trim_start(),
            None if rest.is_empty() => {}
            _ => return Err(format!("`{text}`: a comma and a name were expected at `{rest}`")),
        }
    }
    Ok(calls)
}

impl Call {
    /// The value of every choice, checked.
    ///
    /// # Errors
    /// An option that the method does not have, or a value that is out of range.
    pub fn values(&self, choices: &[Choice]) -> Result<Vec<f64>, String> {
        let name = &self.name;
        let known = |key: &String| choices.iter().any(|choice| choice.name == key);
        if let Some(unknown) = self.options.keys().find(|key| !known(key)) {
            let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
            return Err(match names.is_empty() {
                true => format!("`{name}` has no options, `{unknown}` was given"),
                false => format!("`{name}` has no option `{unknown}`; it has {}", names.join(", ")),
            });
        }
        let value = |choice: &Choice| {
            let value = self.options.get(choice.name).copied().unwrap_or(choice.default);
            let [low, high] = choice.range;
            if (low..=high).contains(&value) {
                return Ok(value);
            }
            Err(format!("`{name}({}={value})`: from {low} to {high} is possible", choice.name))
        };
        choices.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split() {
        let call = |name: &str, options: &[(&str, f64)]| Call {
            name: name.into(),
            options: options.iter().map(|(k, v)| (k.to_string(), *v)).collect(),
        };
        assert_eq!(calls("").unwrap(), []);
        assert_eq!(calls("none").unwrap(), []);
        assert_eq!(
            calls(" flip, crop( scale = 0.5 ,ratio=1.25),x()").unwrap(),
            [call("flip", &[]), call("crop", &[("scale", 0.5), ("ratio", 1.25)]), call("x", &[])]
        );
        for wrong in [",", "a,", "a(", "a(b)", "a(b=x)", "a)b(", "a(b=1)c", "a(b=NaN)", "(a=1)"] {
            assert!(calls(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_checked() {
        let choices = [Choice { name: "p", default: 0.5, range: [0.0, 1.0] }];
        let values = |text: &str| calls(text).unwrap()[0].values(&choices);
        assert_eq!(values("a").unwrap(), [0.5]);
        assert_eq!(values("a(p=1)").unwrap(), [1.0]);
        assert!(values("a(p=2)").unwrap_err().contains("from 0 to 1"));
        assert!(values("a(q=1)").unwrap_err().contains("it has p"));
    }
}
