//! Text of unknown encoding: UTF-8, UTF-16 with a byte-order mark, or Windows-1252.

/// What bytes 0x80..0xA0 mean in Windows-1252; the others are as in Unicode.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// How bytes were read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
    Windows1252,
}

/// Decodes `bytes`, or says at which byte and row and why this is not text.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, String> {
    decode_named(bytes).map(|(text, _)| text)
}

/// As [`decode`], and says how the bytes were read.
pub(crate) fn decode_named(bytes: &[u8]) -> Result<(String, Encoding), String> {
    let (text, encoding) = match bytes {
        [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes)?, Encoding::Utf16),
        [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes)?, Encoding::Utf16),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8_or_windows(rest),
        _ => utf8_or_windows(bytes),
    };
    match text.find('\0') {
        Some(at) => {
            let lines = text[..at].matches('\n').count();
            // Positions are those of the file, whatever its encoding.
            let at = match encoding {
                Encoding::Utf8 => at + bytes.len() - text.len(),
                Encoding::Utf16 => 2 + 2 * text[..at].encode_utf16().count(),
                Encoding::Windows1252 => bytes.iter().position(|&b| b == 0).unwrap_or(at),
            };
            Err(nul(at, lines))
        }
        None => Ok((text, encoding)),
    }
}

/// Decodes a line or field from the midst of a text, where no byte-order mark can stand: what looks
/// like one is part of the text.
pub(crate) fn decode_part(bytes: &[u8]) -> Result<String, String> {
    let (text, _) = utf8_or_windows(bytes);
    match bytes.iter().position(|&b| b == 0) {
        Some(at) => Err(nul(at, bytes[..at].iter().filter(|&&b| b == b'\n').count())),
        None => Ok(text),
    }
}

fn nul(at: usize, lines: usize) -> String {
    format!("byte {at} is NUL (row {}): this is not a text file", 1 + lines)
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

fn utf8_or_windows(bytes: &[u8]) -> (String, Encoding) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Encoding::Utf8),
        Err(_) => (bytes.iter().map(|&b| windows_1252(b)).collect(), Encoding::Windows1252),
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
    fn a_part_of_a_text_has_no_byte_order_mark() {
        assert_eq!(decode_part(b"\xff\xfebad film"), Ok("ÿþbad film".to_owned()));
        assert_eq!(decode_part(b"\xfe\xffodd"), Ok("þÿodd".to_owned()));
        assert_eq!(decode_part("\u{feff}é".as_bytes()), Ok("\u{feff}é".to_owned()));
        assert!(decode_part(b"a\n\xff\0").unwrap_err().starts_with("byte 3 is NUL (row 2)"));
    }

    #[test]
    fn what_is_not_text_is_located() {
        assert!(decode(b"ab\0c").unwrap_err().starts_with("byte 2 is NUL (row 1)"));
        assert!(decode(b"\xef\xbb\xbfa\n\0").unwrap_err().starts_with("byte 5 is NUL (row 2)"));
        assert!(decode(b"\xff\xfea\0\n\0\0\0").unwrap_err().starts_with("byte 6 is NUL (row 2)"));
        assert!(decode(b"\xe9\0").unwrap_err().starts_with("byte 1 is NUL"));
        assert!(decode(b"\xff\xfe\x00\xd8a\0").unwrap_err().contains("byte 2"));
    }
}
