//! A copy of a module for browsers with relaxed SIMD, in whose CPU kernels a product and the sum that takes it up are one
//! instruction, `f32x4.relaxed_madd`: with the processor's fused multiplication and addition they are quicker.
//!
//! Safari refuses a module that holds such an instruction, so there are two; to compile Burn twice for that would double the
//! build. The compiler leaves products and sums side by side, so that they are found in its one module. Nothing is changed
//! outside of the kernels: what decodes a picture gives the same values in every browser.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::module::{HEADER, Reader, sections, write_number, write_section};

/// Functions with these in their names are kernels; the last is what rayon is given, which nothing that decodes uses.
const KERNELS: [&str; 7] = [
    "hilum_cpu",
    "rten_gemm",
    "rten_simd",
    "rten_vecmath",
    "gemm_f32",
    "macerator",
    "FnMut<A> for &F>::call_mut",
];

/// `f32x4.relaxed_madd`: of a, b and c on the stack, a b + c.
const RELAXED_MADD: [u8; 3] = [0xfd, 0x85, 0x02];
const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const V128: u8 = 0x7b;

/// An instruction as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    /// `f32x4.mul`.
    Multiply,
    /// `f32x4.add`.
    Add,
    /// `local.get`.
    Local,
    /// `v128.const`.
    Constant,
    /// `v128.load` and `v128.load32_splat`.
    Load,
    Other,
}

/// Reads one instruction with its immediates (5.4, and SIMD's and relaxed SIMD's). `None` for one that the compiler does not
/// write.
fn instruction(reader: &mut Reader) -> Option<Instruction> {
    let code = reader.byte()?;
    let numbers = match code {
        0x00 | 0x01 | 0x05 | 0x0b | 0x0f | 0x1a | 0x1b | 0x45..=0xc4 | 0xd1 => 0,
        0x02..=0x04 | 0x0c | 0x0d | 0x10 | 0x12 | LOCAL_GET..=0x26 | 0x3f..=0x42 | 0xd0 | 0xd2 => 1,
        0x11 | 0x13 => 2,
        0x0e => reader.number()? + 1,
        0x1c => reader.number()?,
        0x28..=0x3e => return memory(reader).map(|()| Instruction::Other),
        0x43 => return reader.take(4).map(|_| Instruction::Other),
        0x44 => return reader.take(8).map(|_| Instruction::Other),
        0xfc => match reader.number()? {
            0..=7 => 0,
            9 | 11 | 13 | 15..=17 => 1,
            8 | 10 | 12 | 14 => 2,
            _ => return None,
        },
        0xfd => return vector(reader),
        _ => return None,
    };
    reader.pass_numbers(numbers)?;
    Some(if code == LOCAL_GET {
        Instruction::Local
    } else {
        Instruction::Other
    })
}

/// The rest of an instruction on vectors.
fn vector(reader: &mut Reader) -> Option<Instruction> {
    let code = reader.number()?;
    match code {
        0..=11 | 92 | 93 => memory(reader)?,
        12 | 13 => _ = reader.take(16)?,
        21..=34 => _ = reader.byte()?,
        84..=91 => {
            memory(reader)?;
            reader.byte()?;
        }
        _ => {}
    }
    Some(match code {
        0 | 9 => Instruction::Load,
        12 => Instruction::Constant,
        228 => Instruction::Add,
        230 => Instruction::Multiply,
        _ => Instruction::Other,
    })
}

/// Alignment and offset, in the one memory.
fn memory(reader: &mut Reader) -> Option<()> {
    let alignment = reader.number()?;
    (alignment < 0x40).then(|| reader.pass_numbers(1))?
}

/// A product whose sum comes next: how many instructions both are, and what stands between them.
fn fused(code: &[(Instruction, Range<usize>)]) -> Option<(usize, Range<usize>)> {
    use Instruction::{Add, Constant, Load, Local, Multiply};
    let kinds: Vec<Instruction> = code.iter().take(4).map(|(kind, _)| *kind).collect();
    let between = match kinds.as_slice() {
        [Multiply, Add, ..] => 0,
        [Multiply, Local | Constant, Add, ..] => 1,
        [Multiply, Local, Load, Add] => 2,
        _ => return None,
    };
    Some((between + 2, code[0].1.end..code[between + 1].1.start))
}

/// A function's body with its products fused, and how many those are. `parameters` is the number of its parameters.
fn fuse(body: &[u8], parameters: usize) -> Option<(Vec<u8>, usize)> {
    let mut reader = Reader::new(body);
    let groups = reader.number()?;
    let groups_at = reader.at();
    let mut locals = parameters;
    for _ in 0..groups {
        locals += reader.number()?;
        reader.pass_numbers(1)?;
    }
    let code_at = reader.at();
    let mut code = Vec::new();
    while !reader.is_at_end() {
        let start = reader.at();
        code.push((instruction(&mut reader)?, start..reader.at()));
    }
    // Three locals for what has to change places on the stack.
    let mut out = Vec::new();
    write_number(groups + 1, &mut out);
    out.extend_from_slice(&body[groups_at..code_at]);
    out.extend_from_slice(&[3, V128]);
    let (mut count, mut at) = (0, 0);
    while let Some((_, place)) = code.get(at) {
        let Some((length, between)) = fused(&code[at..]) else {
            out.extend_from_slice(&body[place.clone()]);
            at += 1;
            continue;
        };
        if between.is_empty() {
            // c, a, b are there, and a, b, c are wanted.
            for (set, local) in [(LOCAL_SET, 2), (LOCAL_SET, 1), (LOCAL_SET, 0)] {
                access(set, locals + local, &mut out);
            }
            for local in [1, 2, 0] {
                access(LOCAL_GET, locals + local, &mut out);
            }
        }
        out.extend_from_slice(&body[between]);
        out.extend_from_slice(&RELAXED_MADD);
        (count, at) = (count + 1, at + length);
    }
    Some((out, count))
}

fn access(code: u8, local: usize, out: &mut Vec<u8>) {
    out.push(code);
    write_number(local, out);
}

/// What of a module tells functions apart.
#[derive(Debug, Default)]
struct Functions {
    /// Parameters of each type.
    types: Vec<usize>,
    /// The type of each function of its own.
    own: Vec<usize>,
    /// How many functions are imported: names count them first.
    imported: usize,
    /// Names.
    names: BTreeMap<usize, String>,
}

impl Functions {
    fn read(sections: &[(u8, &[u8])]) -> Option<Self> {
        let mut functions = Self::default();
        for (id, content) in sections {
            let mut reader = Reader::new(content);
            match id {
                0 if reader.counted()? == b"name" => functions.names = names(&mut reader)?,
                1 => functions.types = types(&mut reader)?,
                2 => functions.imported = imported(&mut reader)?,
                3 => {
                    let count = reader.number()?;
                    functions.own = (0..count).map(|_| reader.number()).collect::<Option<_>>()?;
                }
                _ => {}
            }
        }
        Some(functions)
    }

    /// The parameters of the function whose body is the `number`th, where it is a kernel.
    fn kernel(&self, number: usize) -> Option<usize> {
        let name = self.names.get(&(self.imported + number))?;
        let is_kernel = KERNELS.iter().any(|kernel| name.contains(kernel));
        let parameters = *self.types.get(*self.own.get(number)?)?;
        is_kernel.then_some(parameters)
    }
}

/// The number of parameters of each type.
fn types(reader: &mut Reader) -> Option<Vec<usize>> {
    let mut types = Vec::new();
    for _ in 0..reader.number()? {
        if reader.byte()? != 0x60 {
            return None;
        }
        types.push(reader.counted()?.len());
        reader.counted()?;
    }
    Some(types)
}

/// How many functions are imported.
fn imported(reader: &mut Reader) -> Option<usize> {
    let mut functions = 0;
    for _ in 0..reader.number()? {
        reader.counted()?;
        reader.counted()?;
        match reader.byte()? {
            0 => {
                functions += 1;
                reader.pass_numbers(1)?;
            }
            3 => _ = reader.take(2)?,
            // Of a table or a memory: nothing that wasm-bindgen's modules import.
            _ => return None,
        }
    }
    Some(functions)
}

/// The functions' names, after the name of the section itself (appendix, 7.4.1).
fn names(reader: &mut Reader) -> Option<BTreeMap<usize, String>> {
    let mut names = BTreeMap::new();
    while !reader.is_at_end() {
        let (id, content) = (reader.byte()?, reader.counted()?);
        if id != 1 {
            continue;
        }
        let mut content = Reader::new(content);
        for _ in 0..content.number()? {
            let (number, name) = (content.number()?, content.counted()?);
            names.insert(number, String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(names)
}

/// `module`, which has names, with the products and sums of its kernels fused, and how many those are. `None` where its
/// bytes are not what the compiler writes.
pub fn relaxed(module: &[u8]) -> Option<(Vec<u8>, usize)> {
    let sections = sections(module)?;
    let functions = Functions::read(&sections)?;
    let mut out = module[..HEADER].to_vec();
    let mut sum = 0;
    for (id, content) in sections {
        if id != 10 {
            write_section(id, content, &mut out);
            continue;
        }
        let mut reader = Reader::new(content);
        let bodies = reader.number()?;
        let mut code = Vec::new();
        write_number(bodies, &mut code);
        for number in 0..bodies {
            let body = reader.counted()?;
            let changed = match functions.kernel(number) {
                Some(parameters) => Some(fuse(body, parameters)?).filter(|(_, count)| *count > 0),
                None => None,
            };
            sum += changed.as_ref().map_or(0, |(_, count)| *count);
            let body = changed.as_ref().map_or(body, |(body, _)| body);
            write_number(body.len(), &mut code);
            code.extend_from_slice(body);
        }
        write_section(id, &code, &mut out);
    }
    Some((out, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MULTIPLY: [u8; 3] = [0xfd, 0xe6, 0x01];
    const ADD: [u8; 3] = [0xfd, 0xe4, 0x01];
    const END: u8 = 0x0b;

    fn get(local: u8) -> [u8; 2] {
        [LOCAL_GET, local]
    }

    #[test]
    fn a_sum_that_waits_for_its_product_changes_places() {
        let body = [&[0][..], &get(0), &get(1), &get(2), &MULTIPLY, &ADD, &[END]].concat();
        let moved = [
            0x21, 5, 0x21, 4, 0x21, 3, // c, a, b go
            0x20, 4, 0x20, 5, 0x20, 3, // and come as a, b, c
        ];
        let expected = [
            &[1, 3, V128][..],
            &get(0),
            &get(1),
            &get(2),
            &moved,
            &RELAXED_MADD,
            &[END],
        ]
        .concat();
        assert_eq!(fuse(&body, 3), Some((expected, 1)));
    }

    #[test]
    fn what_is_added_may_come_after_the_product() {
        let load = [0xfd, 0x00, 0x04, 0x80, 0x01];
        let constant = [&[0xfd, 12][..], &[7; 16]].concat();
        for after in [get(2).to_vec(), constant, [&get(3)[..], &load].concat()] {
            let body = [
                &[1, 2, V128][..],
                &get(0),
                &get(1),
                &MULTIPLY,
                &after,
                &ADD,
                &[END],
            ]
            .concat();
            let expected = [
                &[2, 2, V128, 3, V128][..],
                &get(0),
                &get(1),
                &after,
                &RELAXED_MADD,
                &[END],
            ]
            .concat();
            assert_eq!(fuse(&body, 1), Some((expected, 1)), "{after:?}");
        }
    }

    #[test]
    fn numbers_that_look_like_a_product_are_none() {
        let constant = [&[0xfd, 12][..], &MULTIPLY, &ADD, &[0; 10]].concat();
        let body = [&[0][..], &constant, &[0x1a, 0x41, 0xfd, 0xe6, 0x01, 0x1a, END]].concat();
        assert_eq!(fuse(&body, 0).map(|(_, count)| count), Some(0));
        // An instruction of threads: the compiler writes none.
        assert_eq!(fuse(&[0, 0xfe, 0x03, 0x00, END], 0), None);
    }

    #[test]
    fn kernels_alone_are_changed() {
        let body = [&[0][..], &get(0), &get(0), &get(0), &MULTIPLY, &ADD, &[END]].concat();
        let mut code = vec![2];
        for _ in 0..2 {
            write_number(body.len(), &mut code);
            code.extend_from_slice(&body);
        }
        let names = [
            &b"\x04name"[..],
            &[1, 34, 2, 1, 16],
            b"hilum_cpu::dense",
            &[2, 13],
            b"image::decode",
        ]
        .concat();
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        write_section(1, &[1, 0x60, 1, V128, 1, V128], &mut module);
        write_section(2, &[1, 1, b'm', 1, b'f', 0, 0], &mut module);
        write_section(3, &[2, 0, 0], &mut module);
        write_section(10, &code, &mut module);
        write_section(0, &names, &mut module);
        let (changed, count) = relaxed(&module).expect("a module");
        assert_eq!(count, 1);
        let sections = sections(&changed).expect("a module");
        let bodies = sections.iter().find(|(id, _)| *id == 10).expect("code").1;
        let mut reader = Reader::new(&bodies[1..]);
        let (first, second) = (reader.counted(), reader.counted());
        assert_eq!(first, fuse(&body, 1).map(|(body, _)| body).as_deref());
        assert_eq!(second, Some(body.as_slice()));
        assert_eq!(relaxed(b"text"), None);
    }
}
