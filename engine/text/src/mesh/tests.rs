#![allow(clippy::unwrap_used)]
use super::*;

const OPEN_I: [&str; 12] = [
    "Pulmonary Atelectasis/base/left",
    "Lung/hypoinflation",
    "Pleural Effusion/right/small",
    "Opacity/lung/upper lobe/right",
    "Catheters, Indwelling/right",
    "Diaphragmatic Eventration",
    "Foreign Bodies",
    "Implanted Medical Device",
    "Thoracic Vertebrae",
    "normal",
    "No Indexing",
    "Technical Quality of Image Unsatisfactory ",
];

/// A text, its tagged words in capitals.
fn tagged(mesh: &Mesh, text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let tags = mesh.tags(&words);
    assert_eq!(tags.len(), words.len());
    let shown: Vec<String> = words
        .iter()
        .zip(tags)
        .map(|(word, tag)| if tag { word.to_uppercase() } else { (*word).into() })
        .collect();
    shown.join(" ")
}

#[test]
fn full_matches_and_words_of_headings_are_tagged() {
    let mesh = Mesh::new(OPEN_I);
    assert_eq!((mesh.len(), mesh.is_empty()), (9, false));
    for (text, expected) in [
        ("no pleural effusion .", "no PLEURAL EFFUSION ."),
        ("the lungs are clear", "the LUNGS are clear"),
        ("bibasilar opacities", "bibasilar OPACITIES"),
        ("left base atelectasis", "left base ATELECTASIS"),
        ("an indwelling catheter is seen", "an INDWELLING CATHETER is seen"),
        (
            "the technical quality is normal",
            "the technical quality is normal",
        ),
        ("a foreign body", "a FOREIGN BODY"),
        ("upper lobe", "upper lobe"),
        ("mid-thoracic vertebra", "MID-THORACIC VERTEBRA"),
        ("", ""),
    ] {
        assert_eq!(tagged(&mesh, text), expected);
    }
    let capitals = mesh.tags(&["Lungs", "LUNG", "lung,", "(Effusions)", "-", "."]);
    assert_eq!(capitals, [true, true, true, true, false, false]);
    assert!(mesh.tags(&[]).is_empty());
}

#[test]
fn function_words_letters_and_numbers_are_tagged_in_full_matches_only() {
    let mesh = Mesh::new([
        "Length of Stay",
        "Tomography, X-Ray Computed",
        "Vitamin A",
        "Factor 8",
        "With",
        "Fluid in the Lungs",
    ]);
    for (text, expected) in [
        ("length of stay", "LENGTH OF STAY"),
        ("lengths of stay", "LENGTHS OF STAY"),
        ("the length of the line", "the LENGTH of the line"),
        ("stay of length", "STAY of LENGTH"),
        ("x - ray computed tomography", "X - RAY COMPUTED TOMOGRAPHY"),
        ("tomography , x", "TOMOGRAPHY , x"),
        ("x marks a vitamin", "x marks a VITAMIN"),
        ("vitamin a", "VITAMIN A"),
        ("8 factors", "8 FACTORS"),
        ("factor 8", "FACTOR 8"),
        ("with fluid", "with FLUID"),
        ("fluid in the lung", "FLUID IN THE LUNG"),
        ("fluid . in the lung", "FLUID . in the LUNG"),
        ("fluid. in the lung", "FLUID. in the LUNG"),
        ("fluid in", "FLUID in"),
    ] {
        assert_eq!(tagged(&mesh, text), expected);
    }
    for word in ["of", "x", "a", "8", "with", "the", "in", ""] {
        assert!(!mesh.is(word), "{word}");
    }
    for word in ["x-ray", "Rays", "vitamins", "lung", "Computed"] {
        assert!(mesh.is(word), "{word}");
    }
}

#[test]
fn accents_do_not_matter() {
    let mesh = Mesh::new(["Sjögren's Syndrome", "Œdème"]);
    assert!(mesh.is("sjogren") && mesh.is("Sjögren") && mesh.is("syndromes"));
    assert!(mesh.is("œdeme"));
    assert_eq!(tagged(&mesh, "sjogren ' s syndrome"), "SJOGREN ' S SYNDROME");
}

#[test]
fn chinese_headings_are_cut_into_words() {
    let mesh = Mesh::new(["胸腔积液", "双肺", "肺的纹理"]);
    for word in ["胸腔", "积液", "胸腔积液", "双肺", "纹理"] {
        assert!(mesh.is(word), "{word}");
    }
    for word in ["的", "心影", "。"] {
        assert!(!mesh.is(word), "{word}");
    }
    let text = super::super::segmented("双肺纹理增多，未见胸腔积液。").unwrap();
    let tags = mesh.tags(&text.split(' ').collect::<Vec<_>>());
    assert_eq!(text, "双肺 纹理 增多 ， 未见 胸腔 积液 。");
    assert_eq!(tags, [true, true, false, false, false, true, true, false]);
}

const NLM: &str = "*NEWRECORD
RECTYPE = D
MH = Pulmonary Atelectasis
AQ = BL CF
ENTRY = Atelectasis, Congestive|T047|NON|EQV|NLM (1990)|910214|abcdeef
ENTRY = Lung Collapse
MN = C08.381.730
MS = Absence of air in the entire or part of a lung.
UI = D001261

*NEWRECORD
MH = HIV Long-Term Survivors
PRINT ENTRY = AIDS/HIV Survivors|T101
";

#[test]
fn lists_and_descriptors_are_parsed() {
    let mesh = Mesh::parse(NLM);
    assert_eq!(mesh.len(), 5);
    for word in ["atelectasis", "congestive", "collapse", "hiv", "survivor", "aids"] {
        assert!(mesh.is(word), "{word}");
    }
    for word in ["air", "absence", "bl", "d001261", "newrecord"] {
        assert!(!mesh.is(word), "{word}");
    }
    let list =
        Mesh::parse("\u{FEFF}# of 2026\n\nLung\r\n  Pleural Effusion/left  # said often\nlungs\nLung\n");
    assert_eq!(list.len(), 3);
    assert!(list.is("pleural") && list.is("effusions") && !list.is("left") && !list.is("often"));
    assert!(Mesh::parse("# nothing\n\n").is_empty());
}

#[test]
fn files_that_are_no_list_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, what) in [
        ("empty.txt", &b" \n"[..], "it is empty"),
        ("bom.txt", "\u{FEFF}".as_bytes(), "it is empty"),
        ("comments.txt", b"# none\n", "it holds no heading"),
        ("normal.txt", b"normal\n", "it holds no heading"),
        ("list.gz", b"\x1F\x8B\x08\x00", "no text in UTF-8, at byte 1"),
        ("list.dat", b"Lung\0", "binary, at byte 4"),
        ("desc.xml", b"<?xml version=\"1.0\"?>", "it is XML or JSON"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Mesh::read(&path).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(what), "{error}");
        assert!(error.contains("one heading a line"), "{error}");
    }
    let error = Mesh::read(&folder.path().join("none.txt"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("none.txt"), "{error}");
    let path = folder.path().join("d.bin");
    std::fs::write(&path, NLM).unwrap();
    assert_eq!(Mesh::read(&path).unwrap().len(), 5);
}

#[test]
fn tokens_of_a_vocabulary_are_its_mesh_words() {
    let texts = || {
        [
            "The lungs are clear. No effusion, mask removed.".to_owned(),
            "Lungs, effusions.".to_owned(),
        ]
        .into_iter()
    };
    let mesh = Mesh::new(["Lung", "Pleural Effusion", "Masks", "Sep"]);
    let words = Tokenizer::train_words(texts(), 1, 100).unwrap();
    let found: Vec<String> = mesh.tokens(&words).iter().map(|id| words.piece(*id)).collect();
    assert_eq!(found, ["lungs", "effusion", "effusions", "mask"]);
    assert!(mesh.tokens(&words).is_sorted());
    assert!(Mesh::default().tokens(&words).is_empty());

    let pieces = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nlung\n##lung\n##s\neffusion\nno";
    let pieces = Tokenizer::from_vocab_txt(pieces).unwrap();
    assert_eq!(mesh.tokens(&pieces), [5, 8]);
}

#[test]
fn a_quarter_of_real_reports_is_mesh_words() {
    let Some(root) = std::env::var_os("HILUM_DATA_DIR") else {
        eprintln!("SKIPPED: HILUM_DATA_DIR is not set");
        return;
    };
    let path = Path::new(&root).join("openi/reports.jsonl");
    let Ok(rows) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return;
    };
    let rows: Vec<serde_json::Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let mesh = Mesh::new(
        rows.iter()
            .flat_map(|row| row["mesh_major"].as_array().into_iter().flatten())
            .filter_map(|heading| heading.as_str()),
    );
    let (mut tagged, mut all) = (0, 0);
    for row in &rows {
        let text = format!("{} {}", row["findings"], row["impression"]);
        let words: Vec<&str> = text
            .split_whitespace()
            .filter(|word| word.contains(char::is_alphabetic))
            .collect();
        tagged += mesh.tags(&words).into_iter().filter(|tag| *tag).count();
        all += words.len();
    }
    let share = tagged as f64 / all as f64;
    assert!((0.20..0.27).contains(&share), "{tagged} of {all}");
    for word in [
        "pneumothoraces",
        "lungs",
        "effusion",
        "opacities",
        "heart",
        "vertebra",
    ] {
        assert!(mesh.is(word), "{word}");
    }
    for word in [
        "no", "normal", "left", "the", "there", "xxxx", "clear", "image", "quality",
    ] {
        assert!(!mesh.is(word), "{word}");
    }
}
