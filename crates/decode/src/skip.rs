//! Where a JSON value ends, without reading it.
//!
//! It looks for quotes and brackets only, 16 or 64 bytes at a time: a text ends, and brackets of
//! the value's own kind are in pairs. It does not check that what it skips is JSON.

use wide::u8x16;

/// The length of the value that `bytes` begin with.
#[inline]
pub(crate) fn value(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => text(&bytes[1..]).map(|(length, _)| length + 2),
        b'{' => container(bytes, b'{', b'}'),
        b'[' => container(bytes, b'[', b']'),
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(scalar(bytes)),
        _ => None,
    }
}

/// The length of the number or word that `bytes` begin with.
#[inline]
pub(crate) fn scalar(bytes: &[u8]) -> usize {
    let mut at = 0;
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

/// The length of the text that begins here, behind its first quote, and whether it has no escapes.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<(usize, bool)> {
    match short_text(bytes) {
        Some(length) => Some((length, true)),
        None => long_text(bytes),
    }
}

/// The same of one that has less than 32 bytes and no escapes; `None` otherwise, and near the end.
#[inline]
pub(crate) fn short_text(bytes: &[u8]) -> Option<usize> {
    let chunk: &[u8; 32] = bytes.first_chunk()?;
    let ([first, second], _) = chunk.as_chunks() else { return None };
    let at = match special(first) {
        Some(at) => at,
        None => 16 + special(second)?,
    };
    (chunk[at % 32] == b'"').then_some(at)
}

/// The same of one that is longer, or has escapes.
#[inline(never)]
fn long_text(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut is_plain) = (0, true);
    loop {
        if let Some(chunk) = bytes.get(at..)?.first_chunk() {
            let Some(found) = special(chunk) else {
                at += 16;
                continue;
            };
            at += found;
        } else {
            at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        }
        if bytes[at] == b'"' {
            return Some((at, is_plain));
        }
        is_plain = false;
        at += 2;
    }
}

/// Where the first quote or backslash is.
#[inline]
fn special(chunk: &[u8; 16]) -> Option<usize> {
    let chunk = u8x16::new(*chunk);
    let found = chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
    let found = found.to_bitmask();
    (found != 0).then_some(found.trailing_zeros() as usize)
}

/// The length of the object or array that `bytes` begin with.
fn container(bytes: &[u8], open: u8, close: u8) -> Option<usize> {
    // The two of a kind differ in these bits; what else looks like them stands in texts only.
    let alike = open ^ close;
    let (mut depth, mut quotes) = (0_u32, Quotes::default());
    let mut at = 0;
    while at < bytes.len() {
        let block = Block::new(&bytes[at..]);
        let outside = !quotes.inside(&block);
        let mut brackets = block.of_alike(open, alike) & outside;
        while brackets != 0 {
            let found = at + brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            if bytes[found] == open {
                depth += 1;
            } else if bytes[found] == close {
                depth -= 1;
                if depth == 0 {
                    return Some(found + 1);
                }
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

    /// Whether this byte stands somewhere: less work than to say where.
    #[inline]
    fn has(&self, byte: u8) -> bool {
        let byte = u8x16::splat(byte);
        let [a, b, c, d] = self.0.map(|quarter| quarter.simd_eq(byte));
        (a | b | c | d).to_bitmask() != 0
    }

    /// Where this byte stands.
    #[inline]
    fn of(&self, byte: u8) -> u64 {
        self.of_alike(byte, 0)
    }

    /// Where this byte stands, or one that differs from it in these bits.
    #[inline]
    fn of_alike(&self, byte: u8, bits: u8) -> u64 {
        let (byte, bits) = (u8x16::splat(byte | bits), u8x16::splat(bits));
        let is = |quarter: u8x16| u64::from((quarter | bits).simd_eq(byte).to_bitmask());
        let [a, b, c, d] = self.0.map(is);
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
        let escaped = if block.has(b'\\') {
            self.escaped(block.of(b'\\'))
        } else {
            std::mem::take(&mut self.is_escaped)
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
                let text = &text.as_bytes()[before..];
                assert_eq!(value(text), Some(json.len()), "{json}, {before}");
                let cut = &text[..json.len() - 1];
                let is_open = matches!(json.as_bytes()[0], b'"' | b'[' | b'{');
                assert!(!is_open || value(cut).is_none(), "{json}, {before}");
            }
        }
    }

    #[test]
    fn what_begins_no_value_is_none() {
        for text in ["", " 1", "]", "x", ",", "\\", "'a'"] {
            assert_eq!(value(text.as_bytes()), None, "{text:?}");
        }
    }
}
