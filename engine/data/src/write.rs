//! Phantoms to disk: who is drawn, in which split, and the pictures. Where the files go is each layout's own
//! business.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::error::DataError;
use super::layout::Layout;
use super::parallel::par_map;
use super::phantom::{self, Institution, Phantom, View};
use super::plan::Planned;
use super::study::{Counts, Split};
use super::truth::Truth;
use super::{chexpert, cov_ctr, covid, figures, mimic_cxr, nih14, openi, r2gen, vqa_rad};
use hilum_image::encode::{DicomImage, derived_uid, write_dicom, write_jpeg, write_png};
use hilum_text::Labels;

/// Most phantoms in one data set: beyond, identifiers would repeat.
const MOST: usize = 1_000_000;

/// How many are drawn between two reports of progress.
const BATCH: usize = 32;

/// JPEG quality, near to that of MIMIC-CXR-JPG.
const QUALITY: u8 = 95;

/// A file format of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// 8-bit greyscale, lossless.
    Png,
    /// 8-bit greyscale, as MIMIC-CXR-JPG.
    #[default]
    Jpg,
    /// 12 bits with a window, as MIMIC-CXR; every fifth is MONOCHROME1.
    Dicom,
}

impl Format {
    /// The ending of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Dicom => "dcm",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Dicom => "dicom",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpg),
            "dicom" | "dcm" => Ok(Self::Dicom),
            _ => Err(format!("there is no format {text:?}; choose png, jpg or dicom")),
        }
    }
}

/// Which part of the body phantoms are drawn of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// [`crate::phantom`], by [`write_phantoms`].
    #[default]
    Chest,
    /// [`crate::abdomen`], by [`crate::write_abdomens`].
    Abdomen,
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chest => "chest",
            Self::Abdomen => "abdomen",
        })
    }
}

impl FromStr for Body {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "chest" => Ok(Self::Chest),
            "abdomen" => Ok(Self::Abdomen),
            _ => Err(format!(
                "there is no phantom of {text:?}; choose chest or abdomen"
            )),
        }
    }
}

/// What to draw, and where to.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The new data set's root; it must be empty or not be there yet.
    pub root: PathBuf,
    /// How the files are laid out.
    pub layout: Layout,
    /// How many studies.
    pub count: usize,
    /// Pixels a side, 64 to 4096.
    pub size: usize,
    /// The pictures' format.
    pub format: Format,
    /// Two data sets of the same seed are the same.
    pub seed: u64,
    /// Puts every study into one split instead of 80, 10 and 10 percent of the subjects.
    pub split_all: Option<Split>,
    /// Whose patients, equipment and prose.
    pub institution: Institution,
}

/// Draws phantoms and writes them as a data set. `progress` is told how many are done.
///
/// # Errors
/// When the layout cannot be written yet, a number is out of bounds, the folder holds something, or a file
/// cannot be written.
pub fn write_phantoms(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let write = match options.layout {
        Layout::MimicCxr => mimic_cxr::write,
        Layout::OpenI => openi::write,
        Layout::R2Gen => r2gen::write,
        Layout::VqaRad => vqa_rad::write,
        Layout::Nih14 => nih14::write,
        Layout::CheXpert => chexpert::write,
        Layout::Covid => covid::write,
        Layout::CovCtr => cov_ctr::write,
        Layout::Figures => figures::write,
        layout @ (Layout::Rsna | Layout::Siim) => {
            return Err(DataError::NotSupported {
                layout,
                verb: "written",
                instead: super::layout::SUPPORTED,
            });
        }
    };
    check(options)?;
    write(options, progress)
}

/// Whether the numbers are within bounds and the folder is empty; makes it where it is not there.
pub(crate) fn check(options: &WriteOptions) -> Result<(), DataError> {
    let within = |what, value, least, most| match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(DataError::Bounds {
            what,
            value,
            least,
            most,
        }),
    };
    within("a count", options.count, 1, MOST)?;
    within("a size", options.size, 64, 4096)?;
    make_folder(&options.root)?;
    let mut entries = std::fs::read_dir(&options.root).map_err(DataError::io("read", &options.root))?;
    match entries.next() {
        Some(_) => Err(DataError::NotEmpty(options.root.clone())),
        None => Ok(()),
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(path).map_err(DataError::io("make the folder", path))
}

/// Scatters the bits of a number (Steele et al. 2014, SplitMix64).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Who is drawn: about one study in six is a further one of the subject before, unless each stands `alone`.
///
/// `settled` gives the split that the layout's reader will find for a subject that is planned for one: of layouts that publish no split it
/// is drawn from the subject's name. Where all are wanted in one split, subjects that would fall into another
/// are passed over.
pub(crate) fn plan(
    options: &WriteOptions,
    alone: bool,
    settled: impl Fn(u64, Split) -> Split,
) -> Vec<Planned> {
    const RANGE: u64 = 10_000_000;
    let (first_subject, first_study) = (mix(options.seed ^ 0x5b) % RANGE, mix(options.seed ^ 0x57) % RANGE);
    // The strides have no factor in common with the range, so no number comes twice.
    let number = |i: u64| RANGE + (first_subject + i * 6_180_339) % RANGE;
    let mut subjects = 0_u64;
    let mut planned = Vec::with_capacity(options.count);
    for i in 0..options.count as u64 {
        let draw = mix(mix(options.seed).wrapping_add(i));
        if i == 0 || alone || !mix(draw).is_multiple_of(6) {
            subjects += 1;
            if let Some(wanted) = options.split_all {
                while settled(number(subjects), wanted) != wanted {
                    subjects += 1;
                }
            }
        }
        let subject = number(subjects);
        let study = 5 * RANGE + (first_study + i * 3_819_661) % RANGE;
        let split = options
            .split_all
            .unwrap_or_else(|| match mix(options.seed ^ mix(subject)) % 10 {
                0 => Split::Validate,
                1 => Split::Test,
                _ => Split::Train,
            });
        let split = settled(subject, split);
        planned.push(Planned {
            subject,
            study,
            image: image_name(draw),
            split,
            description: phantom::describe(draw),
        });
    }
    planned
}

/// What was written, with the labels that the layout's tables hold.
pub(crate) fn counted(planned: &[Planned], labels: impl Fn(&Planned) -> Option<Labels>) -> Counts {
    let mut counts = Counts::default();
    for p in planned {
        counts.add(p.split, labels(p).as_ref());
    }
    // A subject's studies follow one another.
    counts.subjects = 1 + planned
        .windows(2)
        .filter(|w| w[0].subject != w[1].subject)
        .count();
    counts
}

/// Writes a table: a line of column names, then the rows.
pub(crate) fn write_table(
    path: &Path,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), DataError> {
    let mut writer = csv::Writer::from_path(path).map_err(DataError::csv(path))?;
    writer.write_record(columns).map_err(DataError::csv(path))?;
    for row in rows {
        writer.write_record(&row).map_err(DataError::csv(path))?;
    }
    writer.flush().map_err(DataError::io("write", path))
}

fn image_name(seed: u64) -> String {
    let hash = Sha256::digest(seed.to_le_bytes());
    let groups: Vec<String> = hash
        .chunks_exact(4)
        .take(5)
        .map(|c| c.iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    groups.join("-")
}

/// Draws every planned study with `each`, on all cores where there are threads; the results keep their order.
pub(crate) fn draw_all(
    planned: &[Planned],
    options: &WriteOptions,
    each: impl Fn(&Planned, &Phantom) -> Result<Truth, DataError> + Sync,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Truth>, DataError> {
    let one = |p: &Planned| {
        each(
            p,
            &phantom::draw_at(&p.description, options.size, options.institution)?,
        )
    };
    draw_batches(planned, one, progress)
}

/// Does `one` for each, on all cores where there are threads; the results keep their order.
pub(crate) fn draw_batches<T: Sync, R: Send>(
    all: &[T],
    one: impl Fn(&T) -> Result<R, DataError> + Sync,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<R>, DataError> {
    let mut done = Vec::with_capacity(all.len());
    for batch in all.chunks(BATCH) {
        done.extend(par_map(batch, &one)?);
        progress(done.len());
    }
    Ok(done)
}

/// A picture to write, and what a DICOM file says of it.
pub(crate) struct Picture<'a> {
    pub(crate) size: usize,
    pub(crate) pixels: &'a [u8],
    pub(crate) pixels_12bit: &'a [u16],
    pub(crate) seed: u64,
    pub(crate) subject: &'a str,
    /// Every fifth study is MONOCHROME1.
    pub(crate) study: u64,
    pub(crate) view: &'a str,
    pub(crate) body_part: &'a str,
}

/// Writes one chest's picture.
pub(crate) fn write_picture(
    path: &Path,
    phantom: &Phantom,
    planned: &Planned,
    format: Format,
) -> Result<(), DataError> {
    let picture = Picture {
        size: phantom.size,
        pixels: &phantom.pixels,
        pixels_12bit: &phantom.pixels_12bit,
        seed: planned.description.seed,
        subject: &planned.subject.to_string(),
        study: planned.study,
        view: match planned.description.view {
            View::Ap => "AP",
            View::Pa => "PA",
        },
        body_part: "CHEST",
    };
    write_pixels(path, &picture, format)
}

/// Writes one picture.
pub(crate) fn write_pixels(path: &Path, picture: &Picture<'_>, format: Format) -> Result<(), DataError> {
    let size = picture.size;
    match format {
        Format::Png => write_png(path, picture.pixels, size, size)?,
        Format::Jpg => write_jpeg(path, picture.pixels, size, size, QUALITY)?,
        Format::Dicom => {
            let inverted = picture.study.is_multiple_of(5);
            let turned: Vec<u16>;
            let pixels = if inverted {
                turned = picture
                    .pixels_12bit
                    .iter()
                    .map(|p| 4095 - (*p).min(4095))
                    .collect();
                &turned
            } else {
                picture.pixels_12bit
            };
            let study = picture.study.to_string();
            let mut image = DicomImage::new(pixels, size, size, picture.seed);
            if inverted {
                image.polarity = hilum_image::Polarity::Monochrome1;
            }
            image.window = Some(window(pixels));
            // A trunk of 43 cm on the detector, whatever the number of pixels.
            let spacing = 430.0 / size as f32;
            image.spacing_mm = Some((spacing, spacing));
            image.view_position = picture.view;
            image.body_part = picture.body_part;
            image.patient_id = picture.subject;
            image.accession_number = &study;
            image.study_uid = derived_uid(picture.study, "study");
            write_dicom(path, &image)?;
        }
    }
    Ok(())
}

/// Centre and width of a window from the 1st to the 99th percentile of stored values.
fn window(pixels: &[u16]) -> (f64, f64) {
    let mut counts = [0_usize; 4096];
    for p in pixels {
        counts[usize::from((*p).min(4095))] += 1;
    }
    let at = |share: f64| {
        let wanted = (pixels.len() as f64 * share) as usize;
        let mut below = 0;
        let found = counts.iter().position(|c| {
            below += c;
            below > wanted
        });
        found.unwrap_or(4095) as f64
    };
    let (low, high) = (at(0.01), at(0.99));
    ((low + high) / 2.0, (high - low).max(1.0))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn options(count: usize) -> WriteOptions {
        WriteOptions {
            root: PathBuf::from("unused"),
            layout: Layout::MimicCxr,
            count,
            size: 64,
            format: Format::Jpg,
            seed: 3,
            split_all: None,
            institution: Institution::First,
        }
    }

    #[test]
    fn no_subject_is_in_two_splits_and_no_study_comes_twice() {
        let planned = plan(&options(4000), false, |_, s| s);
        let studies: BTreeSet<u64> = planned.iter().map(|p| p.study).collect();
        assert_eq!(studies.len(), 4000);
        let mut splits: BTreeMap<u64, BTreeSet<Split>> = BTreeMap::new();
        for p in &planned {
            splits.entry(p.subject).or_default().insert(p.split);
        }
        assert!(splits.values().all(|s| s.len() == 1));
        assert!((3200..3500).contains(&splits.len()), "{}", splits.len());
        let share = |split| planned.iter().filter(|p| p.split == split).count() as f64 / 4000.0;
        assert!((share(Split::Train) - 0.8).abs() < 0.03 && (share(Split::Test) - 0.1).abs() < 0.02);
    }

    #[test]
    fn a_plan_follows_from_its_seed() {
        let plan = |o: &WriteOptions| plan(o, false, |_, s| s);
        let (a, b) = (plan(&options(5)), plan(&options(9)));
        assert!(
            a.iter()
                .zip(&b)
                .all(|(a, b)| a.description == b.description && a.image == b.image)
        );
        let c = plan(&WriteOptions {
            seed: 4,
            ..options(5)
        });
        assert_ne!(a[0].description.seed, c[0].description.seed);
        assert!(
            plan(&WriteOptions {
                split_all: Some(Split::Test),
                ..options(9)
            })
            .iter()
            .all(|p| p.split == Split::Test)
        );
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tried = |o: &WriteOptions| {
            write_phantoms(
                &WriteOptions {
                    root: folder.path().to_owned(),
                    ..o.clone()
                },
                &mut |_| (),
            )
        };
        assert!(matches!(tried(&options(0)), Err(DataError::Bounds { .. })));
        assert!(matches!(
            tried(&WriteOptions {
                size: 10,
                ..options(1)
            }),
            Err(DataError::Bounds { .. })
        ));
        let other = tried(&WriteOptions {
            layout: Layout::Siim,
            ..options(1)
        })
        .unwrap_err()
        .to_string();
        assert!(other.contains("siim") && other.contains("mimic-cxr"), "{other}");
        std::fs::write(folder.path().join("x"), "x").unwrap();
        assert!(matches!(tried(&options(1)), Err(DataError::NotEmpty(_))));
    }
}
