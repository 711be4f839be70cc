//! `hilum decode`: an image file to an array or a picture.

use std::path::{Path, PathBuf};

use hilum::image::{ImageError, Polarity, Radiograph, WindowChoice, decode_file, encode};

use crate::globals::Globals;

/// Decode a radiograph (DICOM, PNG, JPEG, TIFF, WebP) to an array or a picture.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image; its format is told by its content.
    input: PathBuf,
    /// VOI LUT or window of a .png: its number in the file from 0, its name in the file, or CENTRE,WIDTH.
    #[arg(long, value_name = "N|NAME|C,W", allow_hyphen_values = true)]
    window: Option<WindowChoice>,
    /// .npy: float32 (height, width) after the modality LUT. .png: 8 bits as shown.
    #[arg(long, value_name = "X.npy|X.png", value_parser = output)]
    out: PathBuf,
}

/// Whether a path ends in `extension`.
fn ends_in(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

fn output(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if ends_in(&path, "npy") || ends_in(&path, "png") {
        Ok(path)
    } else {
        Err("it must end in .npy or .png".to_owned())
    }
}

/// Decodes, writes, and says what was found.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let image = decode_file(&args.input).map_err(|e| match e {
        ImageError::Io { .. } => anyhow::Error::from(e),
        // What is wrong with the content does not know where it came from.
        _ => anyhow::anyhow!("{}: {e}", args.input.display()),
    })?;
    let mut notes = image.notes.clone();
    if ends_in(&args.out, "npy") {
        encode::write_npy_f32(&args.out, &image.values, image.height, image.width)?;
        if args.window.is_some() {
            notes.push("the window has no effect on .npy, which holds the values before it".to_owned());
        }
    } else {
        let shown = image.display(&args.window.clone().unwrap_or_default())?;
        encode::write_png(&args.out, &shown.pixels, shown.width, shown.height)?;
    }
    report(args, globals, &image, &notes)
}

fn report(args: &Args, globals: &Globals, image: &Radiograph, notes: &[String]) -> anyhow::Result<()> {
    let (low, high) = image.value_range();
    let photometric = match image.photometric {
        Polarity::Monochrome1 => "MONOCHROME1",
        Polarity::Monochrome2 => "MONOCHROME2",
    };
    if globals.json {
        let json = serde_json::json!({
            "width": image.width,
            "height": image.height,
            "format": image.format,
            "photometric": photometric,
            "min": low,
            "max": high,
            "windows": image.window_names(),
            "spacing_mm": image.spacing_mm.map(|(rows, columns)| [rows, columns]),
            "notes": notes,
            "out": args.out,
        });
        println!("{}", serde_json::to_string_pretty(&json)?);
        return Ok(());
    }
    println!(
        "{}: {} x {} pixels, {photometric}, values {low} to {high}",
        image.format, image.width, image.height
    );
    for note in notes {
        println!("note: {note}");
    }
    println!("wrote {}", args.out.display());
    Ok(())
}
