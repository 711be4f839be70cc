//! Tables as users have them.

use super::*;

fn read(text: &str) -> Reports {
    parse(Path::new("t.csv"), text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn refused(text: &str) -> String {
    parse(Path::new("t.csv"), text).unwrap_err().to_string()
}

#[test]
fn any_separator_is_read() {
    for mark in [",", ";", "\t", "|"] {
        let text = "id,Report Impression,age\n7,Small effusion.,40\n8,\"No, edema; none.\",50\n";
        let text = text
            .replace("No, edema", "No@ edema")
            .replace(',', mark)
            .replace('@', ",");
        let reports = read(&text);
        assert_eq!(reports.texts, ["Small effusion.", "No, edema; none."], "{mark:?}");
        assert_eq!(
            (reports.columns, reports.notes),
            (vec!["Report Impression".to_owned()], vec![])
        );
    }
    assert_eq!(read("sep=;\nid;text\n1;Edema, mild.\n").texts, ["Edema, mild."]);
    // Bodies full of other separators change nothing.
    assert_eq!(
        read("text;id\nEdema, mild, a, b;1\n").texts,
        ["Edema, mild, a, b"]
    );
}

#[test]
fn findings_and_impression_are_both_read() {
    let text = "study,impression,findings,last_paragraph,comparison\n\
                s1,Right pneumothorax.,,,\ns2,,Left effusion.,,\ns3,A.,\"B, c.\",D.,\ns4,,,Clear.,None.\ns5,,,,None.\n";
    let reports = read(text);
    assert_eq!(
        reports.texts,
        [
            "Right pneumothorax.",
            "Left effusion.",
            "FINDINGS: B, c.\n\nIMPRESSION: A.",
            "Clear.",
            ""
        ]
    );
    assert_eq!(reports.columns, ["findings", "impression"]);
    assert_eq!(read("findings;n\nEdema.;3\n").columns, ["findings"]);
    // Notes are read where there is nothing else.
    assert_eq!(read("notes,findings\nA b c.,D e f.\n").texts, ["D e f."]);
    assert_eq!(
        read("finding,clinical_notes\nCOVID-19,D e f.\n").texts,
        ["D e f."]
    );
    assert_eq!(
        read("study_id,patient report,age\n7,Clear lungs.,40\n").texts,
        ["Clear lungs."]
    );
    // A whole report goes before its sections.
    assert_eq!(read("findings,report\nA b c.,D e f.\n").texts, ["D e f."]);
}

#[test]
fn identifiers_are_never_read_as_reports() {
    for text in [
        "study_id,subject_id,path\n50000001,10000001,files/p10/s50000001.txt\n",
        "study;view\ns50000001;PA erect\ns50000002;AP\n",
        "id,report\n1,files/s1.txt\n2,files/s2.txt\n",
        "id,comparison\n1,None is there now.\n",
    ] {
        let message = refused(text);
        assert!(message.contains("no column of reports among \""), "{message}");
    }
    let reports =
        read("study,what the doctor said\ns50000001,There is a small effusion.\ns50000002,Clear.\n");
    assert_eq!(reports.texts, ["There is a small effusion.", "Clear."]);
    // Nor is a row without a header lost.
    assert_eq!(read("s1,There is an effusion.\ns2,Clear lungs.\n").texts.len(), 2);
}

#[test]
fn one_column_needs_no_header() {
    let one = |text: &str| {
        let reports = read(text);
        assert_eq!(reports.columns, Vec::<String>::new());
        reports.texts
    };
    assert_eq!(
        one("\"Right effusion, none left.\"\n\"Edema.\"\n"),
        ["Right effusion, none left.", "Edema."]
    );
    // Commas of sentences separate no cells.
    assert_eq!(
        one("Right effusion, no edema.\nEdema.\n"),
        ["Right effusion, no edema.", "Edema."]
    );
    assert_eq!(one("Right effusion, no edema.\n"), ["Right effusion, no edema."]);
    assert_eq!(
        one("Right effusion; no edema.\nClear; no edema.\n"),
        ["Right effusion; no edema.", "Clear; no edema."]
    );
    assert_eq!(read("reports\nEdema, mild.\n").texts, ["Edema, mild."]);
    assert_eq!(read("\u{feff}reports\nEdema.\n").texts, ["Edema."]);
}

#[test]
fn text_behind_a_separator_without_quotation_marks_is_kept_and_told() {
    let reports = read("id,report\n1,Small effusion, no edema.\n2,Clear.\n");
    assert_eq!(reports.texts, ["Small effusion, no edema.", "Clear."]);
    assert!(reports.notes[0].contains("1 rows"), "{:?}", reports.notes);
    assert_eq!(read("id,report\n1,Edema.,,\n").notes, Vec::<String>::new());
}

#[test]
fn an_open_quotation_mark_is_told_with_its_line() {
    for (text, line) in [
        ("id,report\n1,\"Small effusion.\n2,Clear.\n", 2),
        ("id,report\n1,Clear.\n2,\"Small effusion.\n3,\"Edema.\"\n", 3),
        ("id;report\n1;Clear.\n2;\"Small effusion.\n3;Edema.\"\n", 3),
        ("sep=;\nid;report\n1;\"Clear.\n", 3),
        ("\"Small effusion.\nClear.\n", 1),
    ] {
        let message = refused(text);
        assert!(
            message.contains(&format!("t.csv, line {line}: a quotation mark")),
            "{message}"
        );
    }
    let text = "id,report\n1,\"FINDINGS: clear.\nT12, fracture.\n\nNo edema.\"\n2,\"a \"\"b\"\" c\"\n";
    assert_eq!(read(text).texts.len(), 2);
}

#[test]
fn nothing_to_read_is_an_error() {
    for text in ["", " \n", "reports\n", "id,report\n", "id,what\n", "sep=;\n"] {
        assert!(refused(text).contains("no report"), "{text:?}");
    }
}
