//! A WebAssembly module's bytes: its sections and numbers (WebAssembly core specification, chapter 5).

/// What a module begins with: its magic number and version.
pub const HEADER: usize = 8;

/// Bytes read one after the other. All it returns is `None` where they end too early.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether all were read.
    pub const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// An unsigned number of at most 35 bits.
    pub fn number(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Passes `count` numbers, signed or not.
    pub fn pass_numbers(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            while self.byte()? & 0x80 != 0 {}
        }
        Some(())
    }

    /// Bytes with their number before them: a name, or a function's body.
    pub fn counted(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }
}

/// Writes an unsigned number.
pub fn write_number(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a section.
pub fn write_section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    write_number(content.len(), out);
    out.extend_from_slice(content);
}

/// Each section's number and content. `None` where the bytes are no module.
pub fn sections(module: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    if !module.starts_with(b"\0asm") {
        return None;
    }
    let mut reader = Reader::new(module);
    reader.take(HEADER)?;
    let mut sections = Vec::new();
    while !reader.is_at_end() {
        sections.push((reader.byte()?, reader.counted()?));
    }
    Some(sections)
}

/// The module without its custom sections `name`, `producers` and `.debug...` (5.5.3).
pub fn without_names(module: &[u8]) -> Option<Vec<u8>> {
    let mut out = module.get(..HEADER)?.to_vec();
    for (id, content) in sections(module)? {
        let named = |start: &str| {
            let name = Reader::new(content).counted();
            id == 0 && name.is_some_and(|name| name.starts_with(start.as_bytes()))
        };
        if !["name", "producers", ".debug"].into_iter().any(named) {
            write_section(id, content, &mut out);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_all_else_stays() {
        let section = |id: u8, content: &[u8]| {
            let mut out = Vec::new();
            write_section(id, content, &mut out);
            out
        };
        let code = section(10, &[1, 2, 0, 11]);
        let kept = section(0, b"\x05other!");
        let module = [
            b"\0asm\x01\0\0\0".to_vec(),
            kept.clone(),
            code.clone(),
            section(0, b"\x04name!!"),
        ]
        .concat();
        assert_eq!(
            without_names(&module),
            Some([&module[..8], &kept, &code].concat())
        );
        assert_eq!(without_names(b"text"), None);
        assert_eq!(without_names(&module[..module.len() - 1]), None);
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 127, 128, 300, 16_383, 16_384, u32::MAX as usize] {
            let mut bytes = Vec::new();
            write_number(value, &mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.number(), Some(value));
            assert!(reader.is_at_end());
        }
        assert_eq!(Reader::new(&[0x80; 9]).number(), None);
    }
}
