//! The fragments of compressed pixel data that make the first frame (PS3.5 annex A.4).

use std::borrow::Cow;

/// The bytes of the first of `frames` frames.
pub(crate) fn first_frame<'a>(
    offsets: &[u8],
    fragments: &[&'a [u8]],
    frames: usize,
) -> Option<Cow<'a, [u8]>> {
    let (first, rest) = fragments.split_first()?;
    // The second frame's offset counts from the first fragment's item, whose header has 8 bytes.
    let second = offsets
        .get(4..8)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let mut taken = 8 + first.len();
    let mut count = 0;
    if frames > 1 {
        for fragment in rest {
            let starts_anew = match second {
                Some(offset) if offset > 0 => taken >= offset,
                _ if fragments.len() <= frames => true,
                _ => fragment.starts_with(b"\xff\xd8") || fragment.starts_with(b"\xff\x4f\xff\x51"),
            };
            if starts_anew {
                break;
            }
            taken += 8 + fragment.len();
            count += 1;
        }
    } else {
        count = rest.len();
    }
    if count == 0 {
        return Some(Cow::Borrowed(first));
    }
    let mut joined = first.to_vec();
    rest[..count].iter().for_each(|f| joined.extend_from_slice(f));
    Some(Cow::Owned(joined))
}
