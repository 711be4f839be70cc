//! What plain sense reads from lists, answers and odd characters.

use super::*;

/// The signs of the findings named, in the order of CheXpert's paper: "Pleural Effusion -; Edema +".
fn read(labeler: &Labeler, text: &str) -> String {
    let labels = labeler.read_report(text).labels;
    let sign = |f: Finding| {
        let sign = match labels[f as usize]? {
            Certainty::Positive => '+',
            Certainty::Negative => '-',
            Certainty::Uncertain => '?',
        };
        (f != Finding::NoFinding).then(|| format!("{} {sign}", f.name()))
    };
    Finding::ALL
        .into_iter()
        .filter_map(sign)
        .collect::<Vec<_>>()
        .join("; ")
}

fn all(table: &[(&str, &str)]) {
    let labeler = Labeler::new();
    let wrong: Vec<String> = table
        .iter()
        .map(|(text, said)| (text, said, read(&labeler, text)))
        .filter(|(_, said, is)| *said != is)
        .map(|(text, said, is)| format!("{text:?}\n    {is}, not {said}"))
        .collect();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn answers_are_said_of_what_stands_before_them() {
    let no = [
        "Pneumothorax (no)",
        "Pneumothorax -ve",
        "Pneumothorax: -ve",
        "Pneumothorax (-)",
        "Pneumothorax (\u{2212})",
        "Pneumothorax nil",
        "Pneumothorax; absent",
        "Pneumothorax | no",
        "Pneumothorax\tNo",
        "Pneumothorax - none identified",
        "Pneumothorax: No pneumothorax is seen",
        "Pneumothorax? No.",
        "Pneumothorax = none",
        "Pneumothorax \u{2026} none",
        "Pneumothorax ..... none",
        "Pneumothorax: NEG",
        "Pneumothorax: nad",
        "Pneumothorax: not seen",
        "Pneumothorax: not present",
        "Pneumothorax: excluded",
        "Pneumothorax: unremarkable",
        "Pneumothorax \u{2013} absent",
        "Pneumothorax \u{2014} no",
        "Pneumothorax: -",
        "Pneumothorax: no evidence of pneumothorax.",
        "Pneumothorax: there is no pneumothorax",
        "Pneumothorax: no evidence",
        "Pneumothorax-none",
        "Pneumothorax:no",
        "Pneumothorax : No",
        "Pneumothorax, none",
        "Pneumothorax none seen",
        "Pneumothorax: none on either side",
        "* Pneumothorax: no",
        "1. Pneumothorax: No",
        "Pneumothorax [no]",
        "Right pneumothorax: none",
        "PTX: neg",
        "Any pneumothorax: no",
        "Pneumothorax: ruled out",
        "Pneumothorax: No, fully expanded lungs.",
        "Pneumothorax: is not seen.",
        "Pneumothorax: without",
        "Pneumothorax -> no",
        "pneumothorax:\n  no",
        "Pneumothorax? None seen.",
        "PNEUMOTHORAX: NO",
        "Pneumothorax: No longer seen",
        "Pneumothorax no.",
        "Pneumothorax: No\r\n",
        "Pneumothorax: resolved",
        "Pneumothorax is negative",
        "Pneumothorax: \u{2717}",
        "Pneumothorax: no pneumothorax",
        "Pneumothorax: 0",
    ];
    let yes = [
        "Pneumothorax: Yes",
        "Pneumothorax (+)",
        "Pneumothorax +ve",
        "Pneumothorax: present",
        "Pneumothorax: small",
        "Pneumothorax? Yes.",
        "Pneumothorax: +",
        "Pneumothorax | yes",
        "Pneumothorax - yes",
        "Pneumothorax: small, no change",
        "Pneumothorax: unchanged",
        "Pneumothorax: A small pneumothorax is seen.",
        "Pneumothorax: positive",
        "Pneumothorax: there is a small pneumothorax",
        "Pneumothorax: no change",
        "Pneumothorax\tYes",
        "Pneumothorax: \u{2713}",
        "Pneumothorax: seen",
    ];
    let perhaps = [
        "Pneumothorax: possible",
        "Pneumothorax: cannot be excluded",
        "Pneumothorax: ?",
        "Pneumothorax?",
        "Pneumothorax (possible)",
        "Pneumothorax: equivocal",
        "Pneumothorax: not excluded",
        "Pneumothorax | possible",
        "Pneumothorax - suspected",
        "Pneumothorax? Possible.",
        "Pneumothorax: possible pneumothorax",
    ];
    let of = |texts: &'static [&'static str], said| texts.iter().map(move |text| (*text, said));
    let (no, yes, perhaps): (&'static [_], &'static [_], &'static [_]) =
        (no.to_vec().leak(), yes.to_vec().leak(), perhaps.to_vec().leak());
    let table: Vec<(&str, &str)> = of(no, "Pneumothorax -")
        .chain(of(yes, "Pneumothorax +"))
        .chain(of(perhaps, "Pneumothorax ?"))
        .collect();
    all(&table);
}

#[test]
fn answers_reach_no_other_label() {
    all(&[
        (
            "Effusion: no; Pneumothorax: no; Consolidation: yes",
            "Consolidation +; Pneumothorax -; Pleural Effusion -",
        ),
        (
            "Effusion: no, pneumothorax: no, cardiomegaly: yes",
            "Cardiomegaly +; Pneumothorax -; Pleural Effusion -",
        ),
        (
            "Effusion: yes, pneumothorax: no, cardiomegaly: yes",
            "Cardiomegaly +; Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Effusion - no, pneumothorax - yes",
            "Pneumothorax +; Pleural Effusion -",
        ),
        (
            "Pneumothorax: no\nCardiomegaly: yes",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "pneumothorax no\ncardiomegaly yes",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "Pneumothorax\tNo\nCardiomegaly\tYes",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "Pneumothorax\tNo\tCardiomegaly\tYes",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "Pneumothorax | no | Cardiomegaly | yes",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "| Pneumothorax | no |\n| Cardiomegaly | yes |",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "Effusion: yes\nPneumothorax: no",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Effusion: Right-sided, small\nPneumothorax: No",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Effusion: no Pneumothorax: no Cardiomegaly: yes",
            "Cardiomegaly +; Pneumothorax -; Pleural Effusion -",
        ),
        (
            "Effusion? No. Cardiomegaly? Yes.",
            "Cardiomegaly +; Pleural Effusion -",
        ),
        (
            "Effusion (-), pneumothorax (-), cardiomegaly (+)",
            "Cardiomegaly +; Pneumothorax -; Pleural Effusion -",
        ),
        (
            "Effusion -ve, cardiomegaly +ve",
            "Cardiomegaly +; Pleural Effusion -",
        ),
        (
            "Effusion (no), cardiomegaly",
            "Cardiomegaly +; Pleural Effusion -",
        ),
        (
            "Pleural effusion or pneumothorax: none",
            "Pneumothorax -; Pleural Effusion -",
        ),
        ("Effusion, pneumothorax: no", "Pneumothorax -; Pleural Effusion -"),
        (
            "Pneumothorax: no. Effusion: possible. Edema: no",
            "Edema -; Pneumothorax -; Pleural Effusion ?",
        ),
        (
            "Pneumothorax: possible; effusion: no",
            "Pneumothorax ?; Pleural Effusion -",
        ),
        (
            "Pneumothorax:\nEffusion: no",
            "Pneumothorax +; Pleural Effusion -",
        ),
        (
            "Small left effusion - no pneumothorax",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Small left effusion: no pneumothorax",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Small left effusion, no pneumothorax",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Left effusion (no pneumothorax)",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Findings: no effusion. Lungs: clear. Heart: enlarged.",
            "Cardiomegaly +; Pleural Effusion -",
        ),
        (
            "Heart: normal\nEffusion: none\nNodule: 8 mm, right",
            "Cardiomegaly -; Lung Lesion +; Pleural Effusion -",
        ),
        (
            "Pneumothorax: none on the right. Effusion: nil",
            "Pneumothorax -; Pleural Effusion -",
        ),
        (
            "No mass, nodule, or effusion: unchanged.",
            "Lung Lesion -; Pleural Effusion -",
        ),
        (
            "Pneumothorax absent, effusion present",
            "Pneumothorax -; Pleural Effusion +",
        ),
        (
            "Pneumothorax nil, effusion nil, cardiomegaly",
            "Cardiomegaly +; Pneumothorax -; Pleural Effusion -",
        ),
        ("Edema: no; effusion", "Edema -; Pleural Effusion +"),
        ("Pneumothorax is nil. Edema: rule out", "Edema ?; Pneumothorax -"),
        ("Pneumonia (?)", "Pneumonia ?"),
        ("effusion\nEdema: no", "Edema -; Pleural Effusion +"),
    ]);
}

#[test]
fn items_of_a_list_are_read_by_themselves() {
    let three = "Cardiomegaly +; Pneumothorax -; Pleural Effusion +";
    all(&[
        ("no pneumothorax\nleft pleural effusion\ncardiomegaly", three),
        ("No pneumothorax\nleft pleural effusion\ncardiomegaly", three),
        (
            "no pneumothorax\r\nleft pleural effusion\r\ncardiomegaly\r\n",
            three,
        ),
        ("NO PNEUMOTHORAX\nLEFT PLEURAL EFFUSION\nCARDIOMEGALY", three),
        (
            "\u{2022} no pneumothorax \u{2022} left pleural effusion \u{2022} cardiomegaly",
            three,
        ),
        ("- no pneumothorax - left pleural effusion - cardiomegaly", three),
        ("* no pneumothorax * left pleural effusion * cardiomegaly", three),
        (
            "1) no pneumothorax 2) left pleural effusion 3) cardiomegaly",
            three,
        ),
        (
            "1. no pneumothorax 2. left pleural effusion 3. cardiomegaly",
            three,
        ),
        (
            "1. no pneumothorax\n2. left pleural effusion\n3. cardiomegaly",
            three,
        ),
        (
            "a) no pneumothorax b) left pleural effusion c) cardiomegaly",
            three,
        ),
        (
            "no pneumothorax\n\u{2013} left pleural effusion\n\u{2013} cardiomegaly",
            three,
        ),
        ("no pneumothorax | left pleural effusion | cardiomegaly", three),
        ("no acute disease\nleft effusion", "Pleural Effusion +"),
        (
            "no pneumothorax identified\ncardiomegaly",
            "Cardiomegaly +; Pneumothorax -",
        ),
        (
            "cardiomegaly\nno effusion\nrib fracture",
            "Cardiomegaly +; Pleural Effusion -; Fracture +",
        ),
        ("no effusion\n1.5 cm nodule", "Lung Lesion +; Pleural Effusion -"),
        ("possible pneumonia\ncardiomegaly", "Cardiomegaly +; Pneumonia ?"),
    ]);
}

#[test]
fn a_wrapped_line_is_no_item() {
    let both = "Pneumothorax -; Pleural Effusion -";
    all(&[
        ("There is no pleural effusion or\npneumothorax.", both),
        ("There is no pleural\neffusion or pneumothorax.", both),
        (
            "There is no pleural effusion,\npneumothorax or mass.",
            "Lung Lesion -; Pneumothorax -; Pleural Effusion -",
        ),
        ("No effusion\nor pneumothorax.", both),
        ("There is no\nPneumothorax", "Pneumothorax -"),
        (
            "NO MASS OR PLEURAL\nEFFUSION",
            "Lung Lesion -; Pleural Effusion -",
        ),
        (
            "The lungs are well expanded and there is no evidence of large focal\nconsolidation.",
            "Consolidation -",
        ),
        (
            "A previously described left pneumothorax\nis no longer seen.",
            "Pneumothorax -",
        ),
        ("The left pleural effusion\nhas resolved.", "Pleural Effusion -"),
        ("The cardiac silhouette\nis enlarged.", "Cardiomegaly +"),
        ("Heart size\nnormal", "Cardiomegaly -"),
        (
            "There is no focal consolidation\npleural effusion or pneumothorax.",
            "Consolidation -; Pneumothorax -; Pleural Effusion -",
        ),
        (
            "As compared to the previous radiograph, there is no evidence of a new pleural\neffusion, pneumothorax or consolidation on the left or on the right side of the\nchest.",
            "Consolidation -; Pneumothorax -; Pleural Effusion -",
        ),
    ]);
}

#[test]
fn no_character_hides_a_word() {
    all(&[
        ("No pneumo\u{ad}thorax.", "Pneumothorax -"),
        ("No pneumo\u{ad}\nthorax.", "Pneumothorax -"),
        ("No pneumo-\nthorax.", "Pneumothorax -"),
        ("Left\u{a0}pleural\u{202f}e\u{fb00}usion", "Pleural Effusion +"),
        ("Lung in\u{fb01}ltrate", "Lung Opacity +"),
        (
            "\u{201c}No effusion.\u{201d} \u{2018}Cardiomegaly\u{2019}\u{2014}unchanged",
            "Cardiomegaly +; Pleural Effusion -",
        ),
        ("Can\u{2019}t exclude pneumonia", "Pneumonia ?"),
        ("right\u{2010}sided effusion", "Pleural Effusion +"),
        ("\u{feff}E\u{200b}dema", "Edema +"),
    ]);
}

#[test]
fn what_is_past_or_only_looks_so_is_no_finding() {
    all(&[
        ("Left hydropneumothorax.", "Pneumothorax +; Pleural Effusion +"),
        ("No hemopneumothorax.", "Pneumothorax -; Pleural Effusion -"),
        ("Pneumothorax: not assessed. Effusion: n/a", ""),
        ("Nodule simulated by the nipple.", "Lung Lesion -"),
        ("History of pneumonia.", ""),
        ("Hx of CHF.", ""),
        (
            "History of pneumonia with new left effusion.",
            "Pleural Effusion +",
        ),
        (
            "History of lung cancer, small left effusion.",
            "Pleural Effusion +",
        ),
        ("Prior pneumonia, resolved.", ""),
        ("Previous pneumonia has resolved.", ""),
        ("Pneumonia, improved since prior.", "Pneumonia +"),
        ("Status post resection of a lung mass.", ""),
        ("S/p left upper lobectomy for lung cancer.", ""),
        (
            "Status post resection of a lung mass. New left nodule.",
            "Lung Lesion +",
        ),
        ("Nipple shadow simulates a nodule.", ""),
        ("Skin fold mimicking pneumothorax.", ""),
        ("Feeding tube tip not seen.", "Support Devices +"),
        ("The tip of the feeding tube is not seen.", "Support Devices +"),
        ("No feeding tube is seen.", "Support Devices -"),
        ("RLL PNA", "Pneumonia +"),
    ]);
}

#[test]
fn a_long_sentence_keeps_what_it_denies() {
    let labeler = Labeler::new();
    for n in [60, 100, 126, 127, 128, 129, 200, 300, 900] {
        let text = format!("There is no {} or pleural effusion.", "scar, ".repeat(n));
        assert_eq!(read(&labeler, &text), "Lung Opacity -; Pleural Effusion -", "{n}");
        let text = format!("There is {} and no pleural effusion; edema.", "hair, ".repeat(n));
        assert_eq!(read(&labeler, &text), "Edema +; Pleural Effusion -", "{n}");
    }
    let lines = "no effusion\ncardiomegaly\n".repeat(500);
    assert_eq!(read(&labeler, &lines), "Cardiomegaly +; Pleural Effusion -");
}

#[test]
fn what_stands_behind_a_bracket_opens_no_clause_before_it() {
    let labeler = Labeler::new();
    let said = |text: &str| read(&labeler, text);
    assert_eq!(
        said("There is no effusion (arrow), and the heart is enlarged."),
        "Cardiomegaly +; Pleural Effusion -"
    );
    // Any order of what ends a clause is read to its end.
    let parts = [
        "no effusion",
        "(",
        ")",
        ",",
        "and the",
        ", with",
        ", left",
        "edema",
        ";",
        "or",
        "possible",
        "but",
        "not seen",
        "pneumonia",
        "?",
        "may be",
        "?",
        "versus",
        "[",
        "]",
        ":",
        "no",
        "without",
        "heart is enlarged",
        ".",
        "\n",
        "/",
        "consistent with",
        "likely",
    ];
    let mut state = 7u64;
    for _ in 0..20_000 {
        let words: Vec<&str> = (0..14)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                parts[(state >> 33) as usize % parts.len()]
            })
            .collect();
        labeler.read(&words.join(" "));
    }
}
