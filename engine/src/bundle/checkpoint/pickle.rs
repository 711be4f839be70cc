//! What of a whole pickled module the tensor reader does not tell: lists of words among its attributes, and where a file of
//! before PyTorch 1.6 keeps the source of its classes.
//!
//! `torch.save(model)` pickles the module itself. The reader gives its parameters and buffers and leaves out every other
//! attribute, so that the names of a classifier's outputs are lost; and of the older format it knows the ids of storages, not
//! those of classes, which are `("module", class, file, source)`. This is no unpickler: the instructions (Python's `pickletools`)
//! are read one by one, and of what they would make only words and lists of words are followed. Nothing is called or built.

use std::collections::{BTreeMap, HashMap};

/// An instruction's word `TUPLE1`: it wraps what is on top of the stack.
pub(super) const TUPLE1: u8 = 0x85;
/// Instruction: a value kept elsewhere, by the id on top of the stack.
const BY_ID: u8 = b'Q';
const STOP: u8 = b'.';
const ZIP: &[u8] = b"PK\x03\x04";
/// The number at the head of the older format, in the first of its pickles.
const LEGACY: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Attributes and keys that are lists of words.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Where in the bytes an instruction takes the id of a class, by which its source is kept.
    pub classes: Vec<usize>,
}

/// Reads the pickle of a PyTorch file's first bytes; nothing is found where it is packed, damaged or cut off.
pub(super) fn scan(bytes: &[u8]) -> Found {
    let at = if bytes.starts_with(ZIP) {
        in_zip(bytes)
    } else if bytes[..bytes.len().min(64)]
        .windows(LEGACY.len())
        .any(|w| w == LEGACY)
    {
        // The number, the protocol and the machine come before.
        (0..3).try_fold(0, |at, _| after(bytes, at))
    } else {
        Some(0)
    };
    at.and_then(|at| Scan::default().run(bytes, at))
        .unwrap_or_default()
}

/// Where the first file of an archive lies, which PyTorch makes the pickle and does not pack.
fn in_zip(bytes: &[u8]) -> Option<usize> {
    let short = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (packed, name, extra) = (short(8)?, usize::from(short(26)?), usize::from(short(28)?));
    let pickle = bytes.get(30..30 + name)?.ends_with(b"data.pkl");
    (packed == 0 && pickle).then_some(30 + name + extra)
}

/// Where the pickle that begins at `at` ends.
fn after(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let (code, _, next) = instruction(bytes, at)?;
        if code == STOP {
            return Some(next);
        }
        at = next;
    }
}

/// The instruction at `at`: its code, what it carries, and where the next one is.
fn instruction(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let code = *bytes.get(at)?;
    let rest = &bytes[at + 1..];
    let line = |from: usize| Some(from + rest.get(from..)?.iter().position(|b| *b == b'\n')? + 1);
    let counted = |width: usize| {
        let mut count = [0; 8];
        count[..width].copy_from_slice(rest.get(..width)?);
        Some((width, usize::try_from(u64::from_le_bytes(count)).ok()?))
    };
    let (from, length) = match code {
        b'K' | b'h' | b'q' | 0x80 | 0x82 => (0, 1),
        b'M' | 0x83 => (0, 2),
        b'J' | b'j' | b'r' | 0x84 => (0, 4),
        b'G' | 0x95 => (0, 8),
        b'U' | b'C' | 0x8a | 0x8c => counted(1)?,
        b'T' | b'B' | b'X' | 0x8b => counted(4)?,
        0x8d | 0x8e | 0x96 => counted(8)?,
        b'F' | b'I' | b'L' | b'P' | b'S' | b'V' | b'g' | b'p' => (0, line(0)?),
        b'c' | b'i' => (0, line(line(0)?)?),
        b'('
        | STOP
        | b'0'
        | b'1'
        | b'2'
        | b'N'
        | b'}'
        | b'a'
        | b'b'
        | b'd'
        | b'e'
        | b'l'
        | b'o'
        | b's'
        | b't'
        | b')'
        | b'u'
        | b']'
        | BY_ID
        | b'R'
        | 0x81
        | 0x85..=0x89
        | 0x8f..=0x94
        | 0x97
        | 0x98 => (0, 0),
        _ => return None,
    };
    let end = from.checked_add(length)?;
    Some((code, rest.get(from..end)?, at + 1 + end))
}

/// A value, as far as it is followed.
#[derive(Clone, Copy, Debug, Default)]
enum Value<'a> {
    #[default]
    Other,
    Word(&'a str),
    /// Which of the lists.
    List(usize),
}

/// An open mark: what is below it, and the values after it.
#[derive(Debug, Default)]
struct Mark<'a> {
    below: Value<'a>,
    values: Vec<Value<'a>>,
}

/// How far the reading is.
#[derive(Debug, Default)]
struct Scan<'a> {
    memo: HashMap<u32, Value<'a>>,
    /// Words of each list; nothing once another thing is in it.
    lists: Vec<Option<Vec<&'a str>>>,
    marks: Vec<Mark<'a>>,
    /// The two newest values.
    last: [Value<'a>; 2],
    /// Whether the newest value is a tuple that begins with "module".
    class: bool,
    keyed: BTreeMap<&'a str, usize>,
}

impl<'a> Scan<'a> {
    fn run(mut self, bytes: &'a [u8], mut at: usize) -> Option<Found> {
        let mut classes = Vec::new();
        loop {
            let (code, carried, next) = instruction(bytes, at)?;
            let number = || {
                let mut all = [0; 4];
                all.get_mut(..carried.len())?.copy_from_slice(carried);
                Some(u32::from_le_bytes(all))
            };
            let class = std::mem::take(&mut self.class);
            match code {
                STOP => break,
                b'X' | b'U' | b'T' | 0x8c | 0x8d => {
                    self.value(std::str::from_utf8(carried).map_or(Value::Other, Value::Word));
                }
                b']' => {
                    self.lists.push(Some(Vec::new()));
                    self.value(Value::List(self.lists.len() - 1));
                }
                b'h' | b'j' => self.value(self.memo.get(&number()?).copied().unwrap_or_default()),
                b'q' | b'r' => {
                    self.memo.insert(number()?, self.last[1]);
                    self.class = class;
                }
                0x94 => {
                    self.memo
                        .insert(u32::try_from(self.memo.len()).ok()?, self.last[1]);
                    self.class = class;
                }
                b'(' => self.marks.push(Mark {
                    below: self.last[1],
                    values: Vec::new(),
                }),
                // One more of the list below it.
                b'a' => {
                    self.append(self.last[0], &[self.last[1]]);
                    self.last[1] = self.last[0];
                }
                b'e' => {
                    let Mark { below, values } = self.marks.pop()?;
                    self.append(below, &values);
                    self.last = [Value::Other, below];
                }
                b't' => {
                    let values = self.marks.pop()?.values;
                    self.value(Value::Other);
                    self.class = matches!(values.first(), Some(Value::Word("module")));
                }
                b'u' | b'1' | 0x90 => {
                    self.marks.pop()?;
                    self.last = [Value::Other; 2];
                }
                b'd' | b'l' | b'o' | b'i' | 0x91 => {
                    self.marks.pop()?;
                    self.value(Value::Other);
                }
                BY_ID => {
                    classes.extend(class.then_some(at));
                    self.value(Value::Other);
                }
                // Neither takes nor leaves a value.
                0x80 | 0x95 => {}
                _ => self.value(Value::Other),
            }
            at = next;
        }
        let words = |(key, list): (&&str, &usize)| {
            let words = self.lists.get(*list)?.as_ref()?;
            let owned = words.iter().map(|word| (*word).to_owned()).collect();
            Some(((*key).to_owned(), owned))
        };
        let lists = self.keyed.iter().filter_map(words);
        Some(Found {
            lists: lists.collect(),
            classes,
        })
    }

    /// A value is on top.
    fn value(&mut self, value: Value<'a>) {
        if let (Value::Word(key), Value::List(list)) = (self.last[1], value) {
            self.keyed.entry(key).or_insert(list);
        }
        self.last = [self.last[1], value];
        if let Some(mark) = self.marks.last_mut() {
            mark.values.push(value);
        }
    }

    /// Values go into what is below them, where that is a list.
    fn append(&mut self, below: Value<'a>, values: &[Value<'a>]) {
        let Value::List(list) = below else { return };
        let Some(words) = self.lists.get_mut(list) else {
            return;
        };
        for value in values {
            match (value, &mut *words) {
                (Value::Word(word), Some(words)) => words.push(word),
                _ => *words = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_lists_of_them_are_followed_and_nothing_else() {
        // {"a": ["x", "y", "x"], "b": the same, "c": ["x", 1], "d": ["z"], "e": [], "f": ([], ("x",))}
        let pickle =
            b"\x80\x02}(X\x01\0\0\0aq\x00]q\x01(X\x01\0\0\0xq\x02X\x01\0\0\0yh\x02eX\x01\0\0\0bh\x01\
            X\x01\0\0\0c](h\x02K\x01eX\x01\0\0\0d]X\x01\0\0\0zaX\x01\0\0\0e]\
            X\x01\0\0\0f](h\x02t\x86u.";
        let lists = scan(pickle).lists;
        let words = |key: &str| lists.get(key).map(|words| words.join(" "));
        assert_eq!(words("a").as_deref(), Some("x y x"));
        assert_eq!(words("b"), words("a"));
        assert_eq!(words("c"), None);
        assert_eq!(words("d").as_deref(), Some("z"));
        assert_eq!(words("e").as_deref(), Some(""));
        assert_eq!(
            words("f").as_deref(),
            Some(""),
            "a tuple after a list is no part of it"
        );
        // What is cut off, or no pickle at all, has none.
        for end in 0..pickle.len() {
            assert!(scan(&pickle[..end]).lists.is_empty());
        }
        assert!(scan(b"\x80\x02\xff.").lists.is_empty());
        assert!(scan(b"X\xff\xff\xff\xff").lists.is_empty());
    }
}
