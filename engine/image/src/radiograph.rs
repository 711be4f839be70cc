//! A decoded radiograph, and its way to a picture: the VOI LUT or window, then the inversion of MONOCHROME1.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::voi::{VoiLut, Window, WindowFunction};

/// Which end of the values is white (the photometric interpretation of a grey image).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Polarity {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
}

/// An 8-bit grey picture, row-major, 0 black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray8 {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values.
    pub pixels: Vec<u8>,
}

/// What a DICOM object says of itself; empty where it says nothing, and for PNG and JPEG.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Patient ID.
    pub patient_id: String,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// SOP Instance UID.
    pub instance_uid: String,
    /// SOP Class UID.
    pub class_uid: String,
    /// Modality: `CR`, `DX`, ...
    pub modality: String,
    /// Body part examined.
    pub body_part: String,
    /// View position: `PA`, `AP`, `LL`, ...
    pub view_position: String,
    /// Laterality of a paired part.
    pub laterality: String,
}

/// One frame in grey, with all that its display needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Radiograph {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height` rows of `width` values after the modality LUT, in its units; the polarity is as stored.
    pub values: Vec<f32>,
    /// Which end is white.
    pub photometric: Polarity,
    /// The windows of the file, in its order.
    pub windows: Vec<Window>,
    /// The VOI LUTs of the file, in its order.
    pub voi_luts: Vec<VoiLut>,
    /// How an explicit window is applied: the file's VOI LUT function.
    pub voi_function: WindowFunction,
    /// Black and white of what needs no window: colour, and 8-bit pictures.
    pub display_range: Option<(f32, f32)>,
    /// Pixels that are no part of the image (pixel padding), where there are any; `values` keeps what was
    /// stored.
    pub padding: Option<Vec<bool>>,
    /// Millimetres between rows and between columns.
    pub spacing_mm: Option<(f32, f32)>,
    /// What the reader should know: "the first of 30 frames".
    pub notes: Vec<String>,
    /// Format and transfer syntax: `DICOM, JPEG Lossless`.
    pub format: String,
    /// Who and what.
    pub identity: Identity,
}

/// Which window to use.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum WindowChoice {
    /// The file's first VOI LUT, else its first window, else from the lowest to the highest value.
    #[default]
    Default,
    /// By number from 0: the file's VOI LUTs first, then its windows.
    Index(usize),
    /// By its explanation in the file, without regard to case.
    Name(String),
    /// Centre and width, in units after the modality LUT.
    Explicit {
        /// Centre.
        center: f64,
        /// Width, above 0.
        width: f64,
    },
}

impl FromStr for WindowChoice {
    type Err = ImageError;

    /// `N`, `C,W`, `default`, or a name.
    fn from_str(s: &str) -> Result<Self, ImageError> {
        let s = s.trim();
        if s.is_empty() || s.eq_ignore_ascii_case("default") {
            return Ok(Self::Default);
        }
        if let Ok(index) = s.parse() {
            return Ok(Self::Index(index));
        }
        let numbers = s
            .split_once(',')
            .map(|(c, w)| (c.trim().parse::<f64>(), w.trim().parse::<f64>()));
        match numbers {
            Some((Ok(center), Ok(width))) if center.is_finite() && width.is_finite() && width > 0.0 => {
                Ok(Self::Explicit { center, width })
            }
            Some((Ok(_), Ok(_))) => Err(ImageError::Window(format!(
                "the window {s:?} has no width above 0; give centre,width"
            ))),
            _ => Ok(Self::Name(s.to_owned())),
        }
    }
}

/// What maps values to 0..=1 on the way to the screen.
enum View<'a> {
    Lut(&'a VoiLut),
    Window(Window),
    Range(f32, f32),
}

impl Radiograph {
    /// The picture as it is shown: VOI LUT or window, then inversion for MONOCHROME1; padding is black.
    ///
    /// # Errors
    /// When `window` names or numbers one that the image does not have.
    pub fn display(&self, window: &WindowChoice) -> Result<Gray8, ImageError> {
        let invert = self.photometric == Polarity::Monochrome1;
        let finish = |y: f64| {
            let y = if invert { 1.0 - y } else { y };
            // NaN, of float pixel data, becomes 0.
            (y * 255.0 + 0.5).floor().clamp(0.0, 255.0) as u8
        };
        let mut pixels: Vec<u8> = match self.view(window)? {
            View::Lut(lut) => self.values.iter().map(|v| finish(lut.apply(*v))).collect(),
            View::Window(window) => self
                .values
                .iter()
                .map(|v| finish(window.apply(f64::from(*v))))
                .collect(),
            View::Range(low, high) => {
                let (low, span) = (f64::from(low), f64::from(high) - f64::from(low));
                let scale = if span > 0.0 { 1.0 / span } else { 0.0 };
                self.values
                    .iter()
                    .map(|v| finish(((f64::from(*v) - low) * scale).clamp(0.0, 1.0)))
                    .collect()
            }
        };
        if let Some(padding) = &self.padding {
            pixels
                .iter_mut()
                .zip(padding)
                .filter(|(_, p)| **p)
                .for_each(|(v, _)| *v = 0);
        }
        Ok(Gray8 {
            width: self.width,
            height: self.height,
            pixels,
        })
    }

    /// The names of VOI LUTs and windows by their number; unnamed ones have their numbers' text.
    pub fn window_names(&self) -> Vec<String> {
        let luts = self.voi_luts.iter().map(|l| l.explanation.clone());
        let windows = self.windows.iter().map(|w| w.explanation.clone());
        luts.chain(windows)
            .enumerate()
            .map(|(i, name)| name.unwrap_or_else(|| i.to_string()))
            .collect()
    }

    /// The lowest and the highest value that are no padding, (0, 0) where there is none.
    pub fn value_range(&self) -> (f32, f32) {
        let real = |i: usize| self.padding.as_ref().is_none_or(|p| !p[i]);
        let mut range: Option<(f32, f32)> = None;
        for (i, &v) in self.values.iter().enumerate() {
            if v.is_finite() && real(i) {
                let (low, high) = range.unwrap_or((v, v));
                range = Some((low.min(v), high.max(v)));
            }
        }
        range.unwrap_or((0.0, 0.0))
    }

    /// The picture at most `most` pixels wide and high, each a mean of those that it stands for, padding
    /// apart: a screen shows no more, and a window is applied to it the faster.
    pub fn shrunk(&self, most: usize) -> Self {
        let step = self.width.max(self.height).div_ceil(most.max(1)).max(1);
        let (width, height) = (self.width.div_ceil(step), self.height.div_ceil(step));
        let mut values = Vec::with_capacity(width * height);
        let mut padding = self.padding.as_ref().map(|_| Vec::with_capacity(width * height));
        for row in 0..height {
            for column in 0..width {
                let (mut sum, mut count) = (0f64, 0u32);
                let (rows, columns) = (
                    row * step..self.height.min((row + 1) * step),
                    column * step..self.width.min((column + 1) * step),
                );
                for i in rows
                    .flat_map(|r| columns.clone().map(move |c| (r, c)))
                    .map(|(r, c)| r * self.width + c)
                {
                    if self.padding.as_ref().is_none_or(|p| !p[i]) {
                        sum += f64::from(self.values[i]);
                        count += 1;
                    }
                }
                values.push(if count > 0 {
                    (sum / f64::from(count)) as f32
                } else {
                    self.values[row * step * self.width + column * step]
                });
                if let Some(padding) = &mut padding {
                    padding.push(count == 0);
                }
            }
        }
        let step = step as f32;
        let spacing_mm = self
            .spacing_mm
            .map(|(rows, columns)| (rows * step, columns * step));
        Self {
            width,
            height,
            values,
            padding,
            spacing_mm,
            ..self.without_pixels()
        }
    }

    /// What the file says besides its pixels.
    pub fn without_pixels(&self) -> Self {
        Self {
            width: self.width,
            height: self.height,
            values: Vec::new(),
            photometric: self.photometric,
            windows: self.windows.clone(),
            voi_luts: self.voi_luts.clone(),
            voi_function: self.voi_function,
            display_range: self.display_range,
            padding: None,
            spacing_mm: self.spacing_mm,
            notes: self.notes.clone(),
            format: self.format.clone(),
            identity: self.identity.clone(),
        }
    }

    fn numbered(&self, index: usize) -> Option<View<'_>> {
        match self.voi_luts.get(index) {
            Some(lut) => Some(View::Lut(lut)),
            None => self
                .windows
                .get(index - self.voi_luts.len())
                .map(|w| View::Window(w.clone())),
        }
    }

    fn view(&self, choice: &WindowChoice) -> Result<View<'_>, ImageError> {
        let have = || match self.window_names().as_slice() {
            [] => "it has none".to_owned(),
            names => format!("it has {} ({})", names.len(), names.join(", ")),
        };
        match choice {
            WindowChoice::Default => Ok(self.numbered(0).unwrap_or_else(|| {
                let (low, high) = self.display_range.unwrap_or_else(|| self.value_range());
                View::Range(low, high)
            })),
            WindowChoice::Index(index) => self.numbered(*index).ok_or_else(|| {
                ImageError::Window(format!(
                    "the image has no window number {index}, counted from 0: {}",
                    have()
                ))
            }),
            WindowChoice::Name(name) => {
                let same =
                    |n: &Option<String>| n.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name.trim()));
                let lut = self.voi_luts.iter().find(|l| same(&l.explanation)).map(View::Lut);
                let window = || {
                    self.windows
                        .iter()
                        .find(|w| same(&w.explanation))
                        .map(|w| View::Window(w.clone()))
                };
                lut.or_else(window).ok_or_else(|| {
                    ImageError::Window(format!("the image has no window named {name:?}: {}", have()))
                })
            }
            WindowChoice::Explicit { center, width } => {
                if !(*width > 0.0 && width.is_finite() && center.is_finite()) {
                    return Err(ImageError::Window(format!(
                        "a window of width {width} at {center} shows nothing"
                    )));
                }
                // Below a width of 1 the linear function of the standard is not defined, its exact form is.
                let function = match self.voi_function {
                    WindowFunction::Linear if *width < 1.0 => WindowFunction::LinearExact,
                    function => function,
                };
                Ok(View::Window(Window {
                    center: *center,
                    width: *width,
                    function,
                    explanation: None,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn radiograph(values: Vec<f32>) -> Radiograph {
        Radiograph {
            width: values.len(),
            height: 1,
            values,
            photometric: Polarity::Monochrome2,
            windows: Vec::new(),
            voi_luts: Vec::new(),
            voi_function: WindowFunction::Linear,
            display_range: None,
            padding: None,
            spacing_mm: None,
            notes: Vec::new(),
            format: String::new(),
            identity: Identity::default(),
        }
    }

    fn window(center: f64, width: f64, name: Option<&str>) -> Window {
        Window {
            center,
            width,
            function: WindowFunction::Linear,
            explanation: name.map(str::to_owned),
        }
    }

    #[test]
    fn choices_are_read_from_text() {
        assert_eq!("2".parse::<WindowChoice>().unwrap(), WindowChoice::Index(2));
        assert_eq!(
            "-600, 1500".parse::<WindowChoice>().unwrap(),
            WindowChoice::Explicit {
                center: -600.0,
                width: 1500.0
            }
        );
        assert_eq!(
            "LUNG".parse::<WindowChoice>().unwrap(),
            WindowChoice::Name("LUNG".to_owned())
        );
        assert_eq!("default".parse::<WindowChoice>().unwrap(), WindowChoice::Default);
        assert!("40,0".parse::<WindowChoice>().is_err());
        assert!("40,nan".parse::<WindowChoice>().is_err());
    }

    #[test]
    fn without_a_window_the_data_span_the_range_and_padding_does_not_count() {
        let mut r = radiograph(vec![-2000.0, 10.0, 20.0, 30.0]);
        r.padding = Some(vec![true, false, false, false]);
        assert_eq!(
            r.display(&WindowChoice::Default).unwrap().pixels,
            [0, 0, 128, 255]
        );
        r.photometric = Polarity::Monochrome1;
        assert_eq!(
            r.display(&WindowChoice::Default).unwrap().pixels,
            [0, 255, 128, 0]
        );
    }

    #[test]
    fn windows_are_chosen_by_number_and_name() {
        let mut r = radiograph(vec![0.0, 50.0, 100.0, 200.0]);
        r.windows = vec![
            window(50.5, 101.0, Some("WIDE")),
            window(150.5, 101.0, Some("BRIGHT")),
        ];
        let by = |s: &str| r.display(&s.parse().unwrap()).map(|g| g.pixels);
        assert_eq!(by("0").unwrap(), [0, 128, 255, 255]);
        assert_eq!(by("default").unwrap(), by("wide").unwrap());
        assert_eq!(by("bright").unwrap(), by("1").unwrap());
        assert_eq!(by("1").unwrap(), [0, 0, 0, 255]);
        assert_eq!(by("50.5,101").unwrap(), by("0").unwrap());
        assert!(by("2").unwrap_err().to_string().contains("WIDE, BRIGHT"));
        assert!(by("bone").is_err());
    }

    #[test]
    fn a_shrunk_picture_is_a_mean_without_padding_and_covers_the_last_row_and_column() {
        let mut r = radiograph(vec![1.0, 3.0, 5.0, 1.0, 3.0, 5.0, 9.0, 7.0, -50.0]);
        (r.width, r.height) = (3, 3);
        r.padding = Some((0..9).map(|i| i == 8).collect());
        let small = r.shrunk(2);
        assert_eq!((small.width, small.height), (2, 2));
        assert_eq!(small.values, [2.0, 5.0, 8.0, -50.0]);
        assert_eq!(small.padding.unwrap(), [false, false, false, true]);
        assert_eq!(r.shrunk(3).values, r.values);
    }

    #[test]
    fn a_constant_image_is_black_and_does_not_divide_by_zero() {
        let r = radiograph(vec![7.0; 4]);
        assert_eq!(r.display(&WindowChoice::Default).unwrap().pixels, [0; 4]);
    }

    #[test]
    fn voi_luts_come_before_windows() {
        let mut r = radiograph(vec![0.0, 1.0, 2.0]);
        r.windows = vec![window(1.0, 2.0, None)];
        r.voi_luts = vec![VoiLut::new(0, 8, vec![255, 0, 51], Some("INVERSE".to_owned()))];
        assert_eq!(r.display(&WindowChoice::Default).unwrap().pixels, [255, 0, 51]);
        assert_eq!(r.display(&WindowChoice::Index(1)).unwrap().pixels, [0, 255, 255]);
        assert_eq!(r.window_names(), ["INVERSE", "1"]);
    }
}
