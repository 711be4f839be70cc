//! From the pixel data element to stored values: native samples, the codecs, signs, and colour to luminance.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::frames::first_frame;
use super::rle;
use super::structure::{Encoding, PixelData};
use crate::error::ImageError;
use crate::limits::{Colour, Planes, Shape};
use crate::voi::Lut;
use crate::{jpeg, jpeg_ls, jpeg2000, raster};

const DICOM: &str = "DICOM";

/// The image pixel module (PS3.3 C.7.6.3).
pub(crate) struct PixelModule {
    pub shape: Shape,
    pub photometric: String,
    pub allocated: usize,
    pub stored: u32,
    high: u32,
    pub signed: bool,
    planar: bool,
    pub frames: usize,
}

/// The values of one frame.
pub(crate) enum Values {
    /// Grey values as stored.
    Grey(Vec<i32>),
    /// Grey values of float pixel data.
    Float(Vec<f32>),
    /// Luminance, and the white that belongs to it.
    Luminance(Vec<f32>, f32),
}

impl PixelModule {
    /// Reads and checks the module.
    pub fn read(attributes: &Attributes) -> Result<Self, ImageError> {
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
        Ok(Self {
            shape: Shape::new(columns, rows, samples as usize)?,
            photometric: attributes
                .text(tags::PHOTOMETRIC_INTERPRETATION)
                .to_ascii_uppercase(),
            allocated,
            stored,
            high,
            signed: attributes.int(tags::PIXEL_REPRESENTATION)?.unwrap_or(0) == 1,
            planar: attributes.int(tags::PLANAR_CONFIGURATION)?.unwrap_or(0) == 1,
            frames: usize::try_from(frames).unwrap_or(1).max(1),
        })
    }

    /// What three samples are by the photometric interpretation.
    fn colour(&self) -> Colour {
        match self.photometric.as_str() {
            p if p.starts_with("YBR_PARTIAL") => Colour::YbrPartial,
            p if p.starts_with("YBR_FULL") => Colour::Ybr,
            _ => Colour::Rgb,
        }
    }

    /// Decodes the first frame.
    pub fn values(
        &self,
        pixels: &PixelData<'_>,
        encoding: Encoding,
        syntax: &str,
        attributes: &Attributes,
    ) -> Result<Values, ImageError> {
        let planes = match pixels {
            PixelData::Float { bytes, size } => return self.floats(bytes, *size, encoding),
            PixelData::Native { bytes, wide, big } => self.native(bytes, *wide, *big)?,
            PixelData::Encapsulated { offsets, fragments } => {
                let frame = first_frame(offsets, fragments, self.frames)
                    .filter(|f| !f.is_empty())
                    .ok_or_else(|| ImageError::NoPixels("its pixel data is empty".to_owned()))?;
                self.compressed(&frame, syntax)?
            }
        };
        if self.photometric == "PALETTE COLOR" {
            return palette(&planes, attributes);
        }
        if self.shape.samples == 3 {
            return Ok(luminance(
                &planes,
                planes.colour.unwrap_or_else(|| self.colour()),
                self.stored,
            ));
        }
        let mut grey = planes.planes.into_iter().next().unwrap_or_default();
        if self.signed {
            // The sign is the highest bit that the codec or the module has, whichever is lower.
            let unused = 32 - planes.precision.min(self.stored);
            grey.iter_mut().for_each(|v| *v = *v << unused >> unused);
        } else if matches!(pixels, PixelData::Encapsulated { .. }) && planes.precision < 32 {
            let mask = (1_i64 << planes.precision) - 1;
            grey.iter_mut().for_each(|v| *v &= mask as i32);
        }
        Ok(Values::Grey(grey))
    }

    /// Samples as they are.
    fn native(&self, bytes: &[u8], wide: bool, big: bool) -> Result<Planes, ImageError> {
        let Shape { samples, .. } = self.shape;
        let pixels = self.shape.pixels();
        // Subsampled colour has two luminances and two differences for two pixels.
        let halved = self.photometric.ends_with("_422") && samples == 3;
        let per_pixel = if halved { 2 } else { samples };
        let bits = pixels * per_pixel * self.allocated;
        if bytes.len() < bits.div_ceil(8) {
            return Err(ImageError::truncated(
                DICOM,
                format!(
                    "{} x {} pixels of {samples} x {} bits need {} bytes and {} are there",
                    self.shape.width,
                    self.shape.height,
                    self.allocated,
                    bits.div_ceil(8),
                    bytes.len()
                ),
            ));
        }
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
        })
    }

    /// Float and double pixel data.
    fn floats(&self, bytes: &[u8], size: usize, encoding: Encoding) -> Result<Values, ImageError> {
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
        Err(super::syntax::unreadable(syntax))
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

/// The luminance of three planes, by the weights that YBR of DICOM has (ITU-R BT.601).
fn luminance(planes: &Planes, colour: Colour, stored: u32) -> Values {
    let white = ((1_u64 << stored) - 1) as f32;
    let values = match (colour, planes.planes.as_slice()) {
        (Colour::Rgb, [r, g, b]) => r
            .iter()
            .zip(g)
            .zip(b)
            .map(|((r, g), b)| luma(f64::from(*r), f64::from(*g), f64::from(*b)))
            .collect(),
        (Colour::YbrPartial, [y, ..]) => {
            let unit = f64::from(white) / 255.0;
            let spread = |v: f64| ((v - 16.0 * unit) * 255.0 / 219.0).clamp(0.0, f64::from(white)) as f32;
            y.iter().map(|v| spread(f64::from(*v))).collect()
        }
        (_, [y, ..]) => y.iter().map(|v| *v as f32).collect(),
        (_, []) => Vec::new(),
    };
    Values::Luminance(values, white)
}

/// The luminance of a colour.
pub(crate) fn luma(r: f64, g: f64, b: f64) -> f32 {
    (0.299 * r + 0.587 * g + 0.114 * b) as f32
}

/// Indices to the luminance of the palette's colours.
fn palette(planes: &Planes, attributes: &Attributes) -> Result<Values, ImageError> {
    let segmented = attributes
        .0
        .get(tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)
        .is_some();
    if segmented {
        return Err(ImageError::Unsupported(
            "a palette in segments is not read; export the image in grey or RGB".to_owned(),
        ));
    }
    let table = |descriptor, data| attributes.palette(descriptor, data);
    let tables: [Lut; 3] = [
        table(
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
        table(
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
        table(
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
    ];
    let white = ((1_u32 << tables[0].bits) - 1) as f32;
    let indices = planes.planes.first().map(Vec::as_slice).unwrap_or_default();
    let value = |i: &i32| {
        let [r, g, b] = [0, 1, 2].map(|c: usize| f64::from(tables[c].get(i64::from(*i))));
        luma(r, g, b)
    };
    Ok(Values::Luminance(indices.iter().map(value).collect(), white))
}
