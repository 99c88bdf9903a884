//! Text of unknown encoding: UTF-8, UTF-16 with a byte-order mark, or Windows-1252.

/// What bytes 0x80..0xA0 mean in Windows-1252; the others are as in Unicode.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Decodes `bytes`, or says at which byte and why this is not text.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8_or_windows(rest),
        _ => utf8_or_windows(bytes),
    };
    match text.find('\0') {
        Some(at) => Err(format!("byte {at} is NUL: this is not a text file")),
        None => Ok(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    if !bytes.len().is_multiple_of(2) {
        return Err("UTF-16 with an odd number of bytes".to_owned());
    }
    let units = bytes.chunks_exact(2).map(|b| unit([b[0], b[1]]));
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut at = 2;
    for decoded in char::decode_utf16(units) {
        let c = decoded.map_err(|_| format!("byte {at} is a lone UTF-16 surrogate"))?;
        at += 2 * c.len_utf16();
        text.push(c);
    }
    Ok(text)
}

fn utf8_or_windows(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| windows_1252(b)).collect(),
    }
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_comes_out_of_every_encoding() {
        let expected = Ok("é€".to_owned());
        assert_eq!(decode("é€".as_bytes()), expected);
        assert_eq!(decode(b"\xef\xbb\xbf\xc3\xa9\xe2\x82\xac"), expected);
        assert_eq!(decode(b"\xff\xfe\xe9\x00\xac\x20"), expected);
        assert_eq!(decode(b"\xfe\xff\x00\xe9\x20\xac"), expected);
        assert_eq!(decode(b"\xe9\x80"), expected);
    }

    #[test]
    fn what_is_not_text_is_located() {
        assert!(decode(b"ab\0c").unwrap_err().starts_with("byte 2 is NUL"));
        assert!(decode(b"\xff\xfe\x00\xd8a\0").unwrap_err().contains("byte 2"));
    }
}
