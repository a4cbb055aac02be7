//! Where a JSON value ends, without reading it.
//!
//! It looks for quotes and brackets only, 16 or 64 bytes at a time: a text ends, and brackets of the
//! value's own kind are in pairs. It does not tell whether what is passed by is JSON.

use wide::u8x16;

/// The end of the value that begins at `at`.
pub(crate) fn value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => text(bytes, at).map(|(end, _)| end),
        b'{' => container(bytes, at + 1, b'{', b'}'),
        b'[' => container(bytes, at + 1, b'[', b']'),
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(scalar(bytes, at)),
        _ => None,
    }
}

/// The end of the number or word that begins at `at`.
pub(crate) fn scalar(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes[at..].first_chunk() {
        let chunk = u8x16::new(*chunk);
        let is = |byte| chunk.simd_eq(u8x16::splat(byte));
        let ends = is(b',') | is(b'}') | is(b']') | chunk.simd_le(u8x16::splat(b' '));
        let ends = ends.to_bitmask();
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += 16;
    }
    let is_part = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | 0..=b' ');
    at + bytes[at..].iter().take_while(|byte| is_part(byte)).count()
}

/// The end of the text whose first quote is at `at`, and whether it has no escapes.
pub(crate) fn text(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let (mut at, mut is_plain) = (at + 1, true);
    loop {
        if let Some(chunk) = bytes[at..].first_chunk() {
            let chunk = u8x16::new(*chunk);
            let found = chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
            let found = found.to_bitmask();
            if found == 0 {
                at += 16;
                continue;
            }
            at += found.trailing_zeros() as usize;
        } else {
            at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        }
        if bytes[at] == b'"' {
            return Some((at + 1, is_plain));
        }
        is_plain = false;
        at += 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// The end of the object or array whose first byte inside is at `at`.
fn container(bytes: &[u8], mut at: usize, open: u8, close: u8) -> Option<usize> {
    let (mut depth, mut quotes) = (1, Quotes::default());
    while at < bytes.len() {
        let block = Block::new(&bytes[at..]);
        let outside = !quotes.inside(&block);
        let (opened, closed) = (block.of(open) & outside, block.of(close) & outside);
        let mut brackets = opened | closed;
        while brackets != 0 {
            let first = brackets & brackets.wrapping_neg();
            brackets ^= first;
            if opened & first != 0 {
                depth += 1;
                continue;
            }
            depth -= 1;
            if depth == 0 {
                return Some(at + first.trailing_zeros() as usize + 1);
            }
        }
        at += Block::BYTES;
    }
    None
}

/// 64 bytes; a bit of a mask stands for a byte, the lowest for the first.
struct Block([u8x16; 4]);

impl Block {
    const BYTES: usize = 64;

    /// The first bytes; spaces where there are none left.
    #[inline]
    fn new(bytes: &[u8]) -> Self {
        let padded;
        let bytes = if let Some(block) = bytes.first_chunk::<64>() {
            block
        } else {
            let mut block = [b' '; 64];
            block[..bytes.len()].copy_from_slice(bytes);
            padded = block;
            &padded
        };
        let (quarters, _) = bytes.as_chunks::<16>();
        Block(std::array::from_fn(|quarter| u8x16::new(quarters[quarter])))
    }

    /// Where this byte stands.
    #[inline]
    fn of(&self, byte: u8) -> u64 {
        let byte = u8x16::splat(byte);
        let [a, b, c, d] = self.0.map(|quarter| u64::from(quarter.simd_eq(byte).to_bitmask()));
        a | b << 16 | c << 32 | d << 48
    }
}

/// What a block must know of the one before it.
#[derive(Default)]
struct Quotes {
    /// All bits, if the block begins inside a text.
    is_inside: u64,
    /// 1, if its first byte is escaped.
    is_escaped: u64,
}

impl Quotes {
    /// Where the block is inside a text, first quotes included.
    #[inline]
    fn inside(&mut self, block: &Block) -> u64 {
        let backslashes = block.of(b'\\');
        let escaped = if backslashes == 0 {
            std::mem::take(&mut self.is_escaped)
        } else {
            self.escaped(backslashes)
        };
        let mut inside = block.of(b'"') & !escaped;
        // Each bit becomes the parity of itself and all below.
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.is_inside;
        self.is_inside = if inside >> 63 == 1 { u64::MAX } else { 0 };
        inside
    }

    /// What the backslashes of a block escape.
    fn escaped(&mut self, mut backslashes: u64) -> u64 {
        let mut escaped = backslashes << 1 | self.is_escaped;
        if backslashes & escaped == 0 {
            self.is_escaped = backslashes >> 63;
            return escaped;
        }
        // One that is escaped escapes nothing.
        escaped = self.is_escaped;
        backslashes &= !escaped;
        self.is_escaped = 0;
        while backslashes != 0 {
            let first = backslashes & backslashes.wrapping_neg();
            escaped |= first << 1;
            self.is_escaped = first >> 63;
            backslashes &= !(first | first << 1);
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    /// Every value ends where it ends, wherever it lies in the blocks.
    #[test]
    fn a_value_ends_where_its_text_does() {
        for json in [
            "1",
            "-1.5e3",
            "null",
            r#""""#,
            r#""a text of more than sixteen bytes, and more""#,
            r#""\"\\\"""#,
            r#""\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"""#,
            "[]",
            "[[],[[]],[[[]]]]",
            r#"{"a":{"b":[{}]},"c":"}"}"#,
            r#"["]","\"]","\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\]"]"#,
            r#"{"日本":"🦀}","x":[1,2,{"y":"[["}]}"#,
        ] {
            for before in 0..130 {
                let text = format!("{}{json},]}}\"", " ".repeat(before));
                assert_eq!(value(text.as_bytes(), before), Some(before + json.len()), "{text}");
                let cut = &text.as_bytes()[..before + json.len() - 1];
                let is_open = matches!(json.as_bytes()[0], b'"' | b'[' | b'{');
                assert!(!is_open || value(cut, before).is_none(), "{text}");
            }
        }
    }

    #[test]
    fn what_begins_no_value_is_none() {
        for text in ["", " 1", "]", "x", ",", "\\", "'a'"] {
            assert_eq!(value(text.as_bytes(), 0), None, "{text:?}");
        }
    }
}
