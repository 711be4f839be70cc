//! From the pixel data element to stored values: native samples, the codecs, and signs.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::colour::{looks_like_triples, luminance, palette};
use super::encoding::{Encoding, PixelData};
use super::frames::first_frame;
use super::photometric::{self, Photometric};
use super::rle;
use super::values::{Bits, Stored, Values};
use crate::error::ImageError;
use crate::limits::{Colour, Planes, Shape};
use crate::{jpeg, jpeg_ls, jpeg2000, raster};

const DICOM: &str = "DICOM";

/// The image pixel module (PS3.3 C.7.6.3).
#[derive(Clone)]
pub(crate) struct PixelModule {
    pub shape: Shape,
    pub photometric: Photometric,
    /// As the file names it.
    pub photometric_name: String,
    pub allocated: usize,
    pub stored: u32,
    high: u32,
    pub signed: bool,
    planar: bool,
    pub frames: usize,
}

impl PixelModule {
    /// Reads and checks the module.
    pub fn read(attributes: &Attributes, notes: &mut Vec<String>) -> Result<Self, ImageError> {
        let rows = attributes.required(tags::ROWS, "Rows")?;
        let columns = attributes.required(tags::COLUMNS, "Columns")?;
        let samples = attributes.int(tags::SAMPLES_PER_PIXEL)?.unwrap_or(1);
        if samples != 1 && samples != 3 {
            return Err(ImageError::Unsupported(format!(
                "DICOM with {samples} samples per pixel is not read; grey has 1 and colour 3"
            )));
        }
        let allocated = attributes.required(tags::BITS_ALLOCATED, "Bits Allocated")?;
        if ![1, 8, 16, 32, 64].contains(&allocated) {
            return Err(ImageError::Unsupported(format!(
                "DICOM with {allocated} bits allocated is not read"
            )));
        }
        let number = |tag, default: usize| -> Result<u32, ImageError> {
            Ok(attributes
                .int(tag)?
                .and_then(|v| u32::try_from(v).ok())
                .unwrap_or(default as u32))
        };
        let stored = number(tags::BITS_STORED, allocated)?;
        if stored == 0 || stored as usize > allocated {
            return Err(ImageError::malformed(
                DICOM,
                format!("{stored} bits are stored in {allocated}"),
            ));
        }
        let high = number(tags::HIGH_BIT, stored as usize - 1)?;
        if high as usize >= allocated || high + 1 < stored {
            return Err(ImageError::malformed(
                DICOM,
                format!("{stored} bits cannot end at bit {high} of {allocated}"),
            ));
        }
        let frames = attributes.int(tags::NUMBER_OF_FRAMES)?.unwrap_or(1);
        let photometric_name = attributes.text(tags::PHOTOMETRIC_INTERPRETATION);
        let (photometric, note) = photometric::read(&photometric_name, samples as usize);
        notes.extend(note);
        Ok(Self {
            shape: Shape::new(columns, rows, samples as usize)?,
            photometric,
            photometric_name,
            allocated,
            stored,
            high,
            signed: attributes.int(tags::PIXEL_REPRESENTATION)?.unwrap_or(0) == 1,
            planar: attributes.int(tags::PLANAR_CONFIGURATION)?.unwrap_or(0) == 1,
            frames: usize::try_from(frames).unwrap_or(1).max(1),
        })
    }

    /// The lowest and the highest value that can be stored.
    pub fn range(&self) -> (f64, f64) {
        let values = 2.0_f64.powi(self.stored as i32);
        match self.signed {
            true => (-values / 2.0, values / 2.0 - 1.0),
            false => (0.0, values - 1.0),
        }
    }

    /// Decodes the first frame.
    pub fn values<'a>(
        &self,
        pixels: &PixelData<'a>,
        encoding: Encoding,
        syntax: &str,
        attributes: &Attributes,
        notes: &mut Vec<String>,
    ) -> Result<Values<'a>, ImageError> {
        let planes = match pixels {
            PixelData::Float { bytes, size } => return self.floats(bytes, *size, encoding),
            PixelData::Native { bytes, wide, big } => {
                if self.is_colour_under_grey(bytes, notes) {
                    let colour = Self {
                        shape: Shape::new(self.shape.width, self.shape.height, 3)?,
                        photometric: Photometric::Colour {
                            kind: Colour::Rgb,
                            halved: false,
                        },
                        ..self.clone()
                    };
                    colour.native(bytes, *wide, *big)?
                } else if let Some(stored) = self.plain(bytes, *wide, *big)? {
                    return Ok(Values::Grey(stored));
                } else {
                    self.native(bytes, *wide, *big)?
                }
            }
            PixelData::Encapsulated { offsets, fragments } => {
                let frame = first_frame(offsets, fragments, self.frames)
                    .filter(|f| !f.is_empty())
                    .ok_or_else(|| ImageError::NoPixels("its pixel data is empty".to_owned()))?;
                let mut planes = self.compressed(&frame, syntax)?;
                let lossy = attributes.text(tags::LOSSY_IMAGE_COMPRESSION) == "01";
                self.cut_to_stored(&mut planes, lossy);
                planes
            }
        };
        let encapsulated = matches!(pixels, PixelData::Encapsulated { .. });
        if encapsulated && planes.shape.samples != self.shape.samples {
            notes.push(format!(
                "Samples per Pixel is {} in the header and {} in the compressed data, which is believed",
                self.shape.samples, planes.shape.samples
            ));
        }
        if planes.shape.samples >= 3 {
            let declared = match self.photometric {
                Photometric::Colour { kind, .. } => kind,
                _ => Colour::Rgb,
            };
            let found = planes.colour.unwrap_or(declared);
            if found == Colour::Ybr && self.photometric_name.eq_ignore_ascii_case("RGB") {
                notes.push(
                    "the pixels are labelled RGB, but the JPEG data holds YCbCr: they are read as YCbCr"
                        .to_owned(),
                );
            }
            return Ok(luminance(&planes, found, planes.precision.min(self.stored)));
        }
        if self.photometric == Photometric::Palette {
            return palette(&planes, attributes);
        }
        let grey = planes.planes.into_iter().next().unwrap_or_default();
        let count = match (self.signed, encapsulated) {
            // The sign is the highest bit that the codec or the module has, whichever is lower.
            (true, _) => planes.precision.min(self.stored),
            (false, true) => planes.precision.clamp(1, 32),
            (false, false) => 32,
        };
        let bits = Bits {
            lowest: 0,
            count,
            signed: self.signed,
        };
        Ok(Values::Grey(Stored::decoded(grey, bits)))
    }

    /// Compares the bytes that are there with those that are declared. `true` where a header that declares
    /// grey stands over colours.
    fn is_colour_under_grey(&self, bytes: &[u8], notes: &mut Vec<String>) -> bool {
        let frame = self.bytes_of(self.native_samples(bytes));
        let need = frame.saturating_mul(self.frames);
        // An odd length is padded, and some writers fill a block with zeros.
        if bytes.len() <= need + 1 || bytes[need..].iter().all(|b| *b == 0) {
            return false;
        }
        let triple = self.frames == 1
            && self.shape.samples == 1
            && need <= bytes.len() / 3
            && bytes.len() - 3 * need <= 1;
        if triple && self.allocated == 8 && looks_like_triples(&bytes[..3 * need]) {
            notes.push(format!(
                "the pixel data has {} bytes where the header declares {need}, three times as many: they are read \
                 as RGB",
                bytes.len()
            ));
            return true;
        }
        let guess = if triple {
            ", three times as many: there may be three frames, or colours, and then this picture is wrong"
        } else {
            ": what is left over is not shown, and the picture may be wrong"
        };
        notes.push(format!(
            "the pixel data has {} bytes where the header declares {need}{guess}",
            bytes.len()
        ));
        false
    }

    /// Bytes of a frame of `samples` samples a pixel; a shape's bits need not fit the 32 bits of a page.
    fn bytes_of(&self, samples: usize) -> usize {
        let count = self.shape.pixels() * samples;
        match self.allocated / 8 {
            0 => count.div_ceil(8),
            size => count * size,
        }
    }

    /// Samples of a pixel as they are stored: subsampled colour has two luminances and two differences for two
    /// pixels, unless there are enough bytes for three samples each, which a decompressor has left that label.
    fn native_samples(&self, bytes: &[u8]) -> usize {
        let full = self.bytes_of(self.shape.samples);
        match self.photometric {
            Photometric::Colour { halved: true, .. }
                if self.shape.samples == 3 && bytes.len() < full.saturating_mul(self.frames) =>
            {
                2
            }
            _ => self.shape.samples,
        }
    }

    /// The bytes of the first frame, of `per_pixel` samples a pixel.
    fn frame_bytes<'a>(&self, bytes: &'a [u8], per_pixel: usize) -> Result<&'a [u8], ImageError> {
        let need = self.bytes_of(per_pixel);
        bytes.get(..need).ok_or_else(|| {
            ImageError::truncated(
                DICOM,
                format!(
                    "{} x {} pixels of {} x {} bits need {need} bytes and {} are there",
                    self.shape.width,
                    self.shape.height,
                    self.shape.samples,
                    self.allocated,
                    bytes.len()
                ),
            )
        })
    }

    /// Grey samples of one or two bytes, which most radiographs have, where they are in the file; `None` where
    /// samples are of another kind.
    fn plain<'a>(&self, bytes: &'a [u8], wide: bool, big: bool) -> Result<Option<Stored<'a>>, ImageError> {
        if self.shape.samples != 1 || self.photometric == Photometric::Palette {
            return Ok(None);
        }
        let bits = Bits {
            lowest: self.high + 1 - self.stored,
            count: self.stored,
            signed: self.signed,
        };
        Ok(match self.allocated {
            8 if !(big && wide) => Some(Stored::bytes(self.frame_bytes(bytes, 1)?, bits)),
            16 => {
                let (words, _) = self.frame_bytes(bytes, 1)?.as_chunks();
                Some(Stored::words(words, big, bits))
            }
            _ => None,
        })
    }

    /// Samples as they are.
    fn native(&self, bytes: &[u8], wide: bool, big: bool) -> Result<Planes, ImageError> {
        let Shape { samples, .. } = self.shape;
        let pixels = self.shape.pixels();
        let per_pixel = self.native_samples(bytes);
        let halved = per_pixel < samples;
        self.frame_bytes(bytes, per_pixel)?;
        let size = self.allocated / 8;
        // In big-endian files bytes written as words are swapped in pairs.
        let swapped = usize::from(big && wide && self.allocated == 8);
        let sample = |i: usize| -> i64 {
            match size {
                0 => i64::from(bytes[i / 8] >> (i % 8) & 1),
                1 => bytes.get(i ^ swapped).map_or(0, |b| i64::from(*b)),
                _ => {
                    let word = &bytes[i * size..(i + 1) * size];
                    let join = |v: i64, b: &u8| v << 8 | i64::from(*b);
                    if big {
                        word.iter().fold(0, join)
                    } else {
                        word.iter().rev().fold(0, join)
                    }
                }
            }
        };
        let shift = self.high + 1 - self.stored;
        let mask = if self.stored == 64 {
            -1
        } else {
            (1_i64 << self.stored) - 1
        };
        let convert = |i: usize| -> Result<i32, ImageError> {
            let value = sample(i) >> shift & mask;
            if self.stored <= 31 || (self.stored == 32 && self.signed) {
                return Ok(value as i32);
            }
            i32::try_from(value).map_err(|_| {
                ImageError::Unsupported(format!(
                    "a sample of {} bits is {value}, and 31 bits are read",
                    self.stored
                ))
            })
        };
        let planes = (0..samples)
            .map(|s| {
                (0..pixels)
                    .map(|p| match (halved, self.planar) {
                        (true, _) if s == 0 => convert(p / 2 * 4 + p % 2),
                        (true, _) => convert(p / 2 * 4 + 1 + s),
                        (false, true) => convert(s * pixels + p),
                        (false, false) => convert(p * samples + s),
                    })
                    .collect()
            })
            .collect::<Result<Vec<Vec<i32>>, _>>()?;
        Ok(Planes {
            shape: self.shape,
            planes,
            precision: self.stored,
            colour: None,
            lossless: true,
        })
    }

    /// Float and double pixel data.
    fn floats(&self, bytes: &[u8], size: usize, encoding: Encoding) -> Result<Values<'static>, ImageError> {
        let need = self.shape.pixels() * size;
        if self.shape.samples != 1 || bytes.len() < need {
            return Err(ImageError::truncated(
                DICOM,
                format!("float pixels need {need} bytes, {} are there", bytes.len()),
            ));
        }
        let value = |b: &[u8]| {
            let mut word = [0_u8; 8];
            word[..size].copy_from_slice(b);
            if encoding == Encoding::ExplicitBig {
                word[..size].reverse();
            }
            let [a, b, c, d, ..] = word;
            if size == 4 {
                f32::from_le_bytes([a, b, c, d])
            } else {
                f64::from_le_bytes(word) as f32
            }
        };
        Ok(Values::Float(
            bytes[..need].chunks_exact(size).map(value).collect(),
        ))
    }

    /// A compressed frame: its own first bytes say what it is, for declared syntaxes are at times wrong.
    fn compressed(&self, frame: &[u8], syntax: &str) -> Result<Planes, ImageError> {
        let shape = Some(self.shape);
        if self.allocated > 32 {
            return Err(ImageError::Unsupported(
                "compressed samples of more than 32 bits are not read".to_owned(),
            ));
        }
        if syntax == super::syntax::RLE {
            return rle::decode(frame, self.shape, self.allocated.div_ceil(8)).and_then(|p| self.shifted(p));
        }
        if frame.starts_with(b"\xff\x4f\xff\x51") || frame.starts_with(b"\0\0\0\x0cjP  ") {
            return jpeg2000::decode(frame, shape);
        }
        if frame.starts_with(b"\xff\xd8") {
            let header = jpeg::probe(frame)?;
            return match header.marker {
                0xf7 => jpeg_ls::decode(frame, shape),
                0xc2 if header.precision == 8 => {
                    header.shape.expect("JPEG", shape)?;
                    raster::photograph(frame)
                }
                _ => jpeg::decode(frame, shape),
            };
        }
        Err(super::syntax::unreadable(syntax, frame))
    }

    /// Takes away what a codec has kept above Bits Stored: overlay planes are no part of the pixels (PS3.5
    /// 8.1.1). Where a codec loses something, values above are none of an overlay but an overshoot.
    fn cut_to_stored(&self, planes: &mut Planes, lossy: bool) {
        if planes.precision <= self.stored {
            return;
        }
        let top = ((1_i64 << self.stored) - 1) as i32;
        let values = planes.planes.iter_mut().flatten();
        if planes.lossless && !lossy {
            // A codec that has all of the allocated bits has those below the stored ones, too.
            let shift = if planes.precision > self.high {
                self.high + 1 - self.stored
            } else {
                0
            };
            values.for_each(|v| *v = *v >> shift & top);
        } else if self.signed {
            return;
        } else {
            values.for_each(|v| *v = (*v).clamp(0, top));
        }
        planes.precision = self.stored;
    }

    /// RLE keeps the bits where they are in the allocated word.
    fn shifted(&self, mut planes: Planes) -> Result<Planes, ImageError> {
        let shift = self.high + 1 - self.stored;
        let mask = ((1_i64 << self.stored.min(32)) - 1) as i32;
        planes
            .planes
            .iter_mut()
            .flatten()
            .for_each(|v| *v = *v >> shift & mask);
        if self.stored >= 32 && !self.signed && planes.planes.iter().flatten().any(|v| *v < 0) {
            return Err(ImageError::Unsupported(
                "an RLE sample needs 32 bits, and 31 are read".to_owned(),
            ));
        }
        planes.precision = self.stored;
        Ok(planes)
    }
}
