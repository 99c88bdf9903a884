//! Integers and strings as pickles write them.

use super::Node;

/// Little-endian two's complement of any length.
pub(super) fn integer(mut bytes: Vec<u8>) -> Node {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let sign = if negative { 0xff } else { 0 };
    // Bytes that repeat the sign carry nothing.
    while let [.., before, last] = bytes[..] {
        if last != sign || (before & 0x80 != 0) != negative {
            break;
        }
        bytes.pop();
    }
    if bytes.len() > 8 {
        return Node::Long(bytes.into_boxed_slice());
    }
    bytes.resize(8, sign);
    Node::Int(bytes.iter().rev().fold(0, |value, &b| (value << 8) | i64::from(b)))
}

/// Text between the quotes of a `STRING` line, with the escapes that occur in names undone.
pub(super) fn unquote(line: &[u8]) -> Option<String> {
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return None,
    };
    let text = String::from_utf8_lossy(inner);
    Some(text.replace("\\'", "'").replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length() {
        let value = |bytes: &[u8]| match integer(bytes.to_vec()) {
            Node::Int(value) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value(&[]), 0);
        assert_eq!(value(&[0xff]), -1);
        assert_eq!(value(&[0xff, 0]), 255);
        assert_eq!(value(&(-5i128).to_le_bytes()), -5);
        assert_eq!(value(&i128::from(i64::MIN).to_le_bytes()), i64::MIN);
        assert!(matches!(integer((1i128 << 64).to_le_bytes().to_vec()), Node::Long(_)));
    }
}
