//! What the header says that a reader must know: another part of the body, another view, marks that are not
//! shown, pixels that were not made to be read.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;

/// What the names of a chest and of what is in it have in common, in several languages.
const CHEST: [&str; 13] = [
    "CHEST", "THORA", "TORAX", "TÓRAX", "TORAC", "LUNG", "PULMO", "HEART", "CARDIA", "RIB", "STERN", "BRUST",
    "CXR",
];
/// Names that say nothing.
const SILENT: [&str; 6] = ["", "UNKNOWN", "OTHER", "NONE", "N/A", "NA"];
/// SOP classes of pixels that are for processing.
const FOR_PROCESSING: [&str; 3] = [
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3.1",
];

/// The notes that an object's header asks for; `overlays` are the groups of its overlay planes.
pub(super) fn notes(attributes: &Attributes, overlays: &[u16]) -> Vec<String> {
    // Of a slice or a scan neither part nor view nor its sides would be news.
    if let Some(other) = modality(attributes) {
        return [Some(other), marks(overlays)].into_iter().flatten().collect();
    }
    let parts = [
        body_part(attributes),
        view(attributes),
        orientation(attributes),
        purpose(attributes),
        marks(overlays),
    ];
    parts.into_iter().flatten().collect()
}

fn modality(attributes: &Attributes) -> Option<String> {
    // Computed and digital radiography, fluoroscopy, film that was scanned, and pictures that were captured
    // from a screen.
    const RADIOGRAPHS: [&str; 7] = ["CR", "DX", "RG", "RF", "XA", "SC", "OT"];
    let modality = attributes.text(tags::MODALITY).to_ascii_uppercase();
    (!modality.is_empty() && !RADIOGRAPHS.contains(&modality.as_str())).then(|| {
        format!(
            "its modality is {modality}, so it is no chest radiograph, and what is said of it means nothing"
        )
    })
}

fn body_part(attributes: &Attributes) -> Option<String> {
    let named = attributes.text(tags::BODY_PART_EXAMINED);
    let coded = attributes.meaning(tags::ANATOMIC_REGION_SEQUENCE);
    let part = [named, coded]
        .into_iter()
        .find(|p| !SILENT.contains(&p.to_uppercase().as_str()))?;
    let upper = part.to_uppercase();
    (!CHEST.iter().any(|c| upper.contains(c))).then(|| {
        format!("the body part is {part} and not the chest: what is said of it as a chest means nothing")
    })
}

/// What a view is, by View Position or by the code of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Frontal,
    Lateral,
    Oblique,
    Decubitus,
    Other,
}

fn view_of(text: &str) -> Option<View> {
    let upper = text.to_uppercase().replace(['-', '_', '/', '.', ','], " ");
    let words: Vec<&str> = upper.split_whitespace().collect();
    let has = |names: &[&str]| words.iter().any(|w| names.contains(w));
    let contains = |part: &str| upper.contains(part);
    if SILENT.contains(&text.to_uppercase().as_str()) || words.is_empty() {
        None
    } else if contains("DECUB") || has(&["LLD", "RLD", "LDD", "RDD"]) {
        Some(View::Decubitus)
    } else if contains("OBL") || has(&["LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "LO", "RO"]) {
        Some(View::Oblique)
    } else if contains("LATERAL") || has(&["LL", "RL", "LAT", "LLAT", "RLAT", "ML", "LM", "SEITLICH"]) {
        Some(View::Lateral)
    } else if contains("ANTERO") || contains("POSTERO") || contains("FRONT") || has(&["PA", "AP"]) {
        Some(View::Frontal)
    } else {
        Some(View::Other)
    }
}

fn view(attributes: &Attributes) -> Option<String> {
    let position = attributes.text(tags::VIEW_POSITION);
    let code = attributes.meaning(tags::VIEW_CODE_SEQUENCE);
    let (text, view) = [position, code]
        .into_iter()
        .find_map(|text| view_of(&text).map(|view| (text, view)))
        .or_else(|| {
            // A row that runs from front to back shows a side.
            let (row, _) = attributes.directions()?;
            let sideways = matches!(row, 'A' | 'P');
            sideways.then(|| {
                let words = format!("{:?}, by the patient orientation", row.to_string());
                (words, View::Lateral)
            })
        })?;
    let what = match view {
        View::Frontal => return None,
        View::Lateral => "a lateral one",
        View::Oblique => "an oblique one",
        View::Decubitus => "one of a patient lying on a side",
        View::Other => "neither PA nor AP",
    };
    Some(format!(
        "the view is {text}, {what}: models for frontal chests were not trained on it"
    ))
}

/// A frontal chest is shown as if the patient faced the reader: rows run to the patient's left, columns to
/// the feet (PS3.3 C.7.6.1.1.1).
fn orientation(attributes: &Attributes) -> Option<String> {
    let (row, column) = attributes.directions()?;
    let what = match (row, column) {
        ('F' | 'H', _) | (_, 'L' | 'R' | 'A' | 'P') => "the picture lies on its side",
        ('R', 'H') => "the picture stands on its head, turned by 180 degrees",
        ('R', _) => "the picture is mirrored, and the patient's left is on the left",
        (_, 'H') => "the picture stands on its head",
        _ => return None,
    };
    Some(format!(
        "by the patient orientation {row}\\{column} {what}; it is shown as stored"
    ))
}

fn purpose(attributes: &Attributes) -> Option<String> {
    let intent = attributes.text(tags::PRESENTATION_INTENT_TYPE).to_uppercase();
    let class = attributes.text(tags::SOP_CLASS_UID);
    let raw = intent.replace(['_', '-'], " ").contains("PROCESSING");
    (raw || FOR_PROCESSING.contains(&class.as_str())).then(|| {
        "the image is FOR PROCESSING: the detector's raw values, which are not meant to be read; its contrast, \
         and which end is white, may be wrong"
            .to_owned()
    })
}

fn marks(overlays: &[u16]) -> Option<String> {
    let groups: Vec<String> = overlays.iter().map(|g| format!("{g:04X}")).collect();
    (!groups.is_empty()).then(|| {
        format!(
            "the file has an overlay of marks or letters (group {}) that the picture does not show",
            groups.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::{DataElement, Tag, VR};
    use dicom_object::InMemDicomObject;

    fn said(elements: &[(Tag, &[&str])]) -> Vec<String> {
        let object = InMemDicomObject::from_element_iter(elements.iter().map(|(tag, values)| {
            let strings: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
            DataElement::new(
                *tag,
                VR::CS,
                dicom_core::PrimitiveValue::Strs(strings.into_iter().collect()),
            )
        }));
        notes(&Attributes(object), &[])
    }

    #[test]
    fn an_ordinary_chest_has_no_notes() {
        for view in ["PA", "AP", "", "POSTERO_ANTERIOR"] {
            let none = said(&[
                (tags::MODALITY, &["DX"]),
                (tags::BODY_PART_EXAMINED, &["CHEST"]),
                (tags::VIEW_POSITION, &[view]),
                (tags::PATIENT_ORIENTATION, &["L", "F"]),
                (tags::PRESENTATION_INTENT_TYPE, &["FOR PRESENTATION"]),
            ]);
            assert!(none.is_empty(), "{view}: {none:?}");
        }
    }

    #[test]
    fn other_parts_views_and_purposes_are_said() {
        let one = |tag, values: &[&str], word: &str| {
            let notes = said(&[(tag, values)]);
            assert!(
                notes.len() == 1 && notes[0].contains(word),
                "{values:?}: {notes:?}"
            );
        };
        one(tags::BODY_PART_EXAMINED, &["FOOT"], "FOOT");
        one(tags::VIEW_POSITION, &["LL"], "lateral");
        one(tags::VIEW_POSITION, &["RLD"], "lying");
        one(tags::VIEW_POSITION, &["RAO"], "oblique");
        one(tags::VIEW_POSITION, &["TAN"], "neither");
        one(tags::PRESENTATION_INTENT_TYPE, &["for processing"], "raw");
        one(tags::SOP_CLASS_UID, &[FOR_PROCESSING[0]], "raw");
        one(tags::PATIENT_ORIENTATION, &["R", "F"], "mirrored");
        one(tags::PATIENT_ORIENTATION, &["R", "H"], "180");
        one(tags::PATIENT_ORIENTATION, &["F", "R"], "side");
        one(tags::PATIENT_ORIENTATION, &["A", "F"], "lateral");
        let slice = said(&[
            (tags::MODALITY, &["CT"]),
            (tags::PATIENT_ORIENTATION, &["L", "P"]),
        ]);
        assert!(slice.len() == 1 && slice[0].contains("CT"), "{slice:?}");
        assert!(marks(&[0x6000, 0x6002]).is_some_and(|n| n.contains("6000, 6002")));
    }
}
