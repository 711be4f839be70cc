use super::*;

#[test]
fn other_parts_of_the_body_are_told() {
    for (part, text) in [
        (
            "abdomen",
            "CT abdomen and pelvis with contrast. The lung bases are clear. The liver, gallbladder, spleen and pancreas are unremarkable. No bowel obstruction. No free fluid.",
        ),
        (
            "abdomen",
            "Nonobstructive bowel gas pattern. No abnormal calcifications. Moderate stool in the colon.",
        ),
        (
            "head",
            "There is no acute intracranial hemorrhage, mass effect or midline shift. The ventricles are normal in size.",
        ),
        (
            "spine",
            "Lumbar spine: mild disc space narrowing at L4-L5. Vertebral body heights are preserved.",
        ),
        (
            "spine",
            "The cervical spine is visualized to the level of C7. No prevertebral soft tissue swelling. The dens is intact.",
        ),
        (
            "knee",
            "Small joint effusion. No fracture or dislocation of the right knee. The patella is normal.",
        ),
        (
            "hand",
            "Three views of the left hand show a transverse fracture of the fifth metacarpal.",
        ),
        (
            "wrist",
            "Comminuted fracture of the distal radius with dorsal angulation, and of the ulnar styloid.",
        ),
        (
            "pelvis",
            "AP view of the pelvis. There is a displaced fracture of the left femoral neck. The hip joints are preserved.",
        ),
        (
            "breast",
            "Scattered fibroglandular densities. No suspicious mass or microcalcifications. BI-RADS 1.",
        ),
        (
            "ankle",
            "Soft tissue swelling over the lateral malleolus. The ankle mortise is intact.",
        ),
        ("foot", "Mild hallux valgus. No fracture of the metatarsals."),
        (
            "shoulder",
            "The humeral head is located in the glenoid. Mild degenerative change of the acromioclavicular joint.",
        ),
        (
            "arm",
            "Elbow: anterior fat pad sign, suspicious for an occult radial head fracture.",
        ),
        (
            "neck",
            "The thyroid is enlarged with several nodules in the right lobe.",
        ),
        (
            "jaw and teeth",
            "Impacted third molar. Periapical lucency of the second premolar.",
        ),
        (
            "leg",
            "Oblique fracture of the tibial shaft and of the proximal fibula.",
        ),
        (
            "womb in pregnancy",
            "Single live fetus with a heart rate of 140. The placenta is posterior.",
        ),
    ] {
        assert_eq!(subject(text), Subject::OtherBodyPart(part), "{text}");
    }
}

#[test]
fn chest_reports_may_tell_of_what_is_near() {
    for text in [
        "No acute cardiopulmonary process.",
        "Small left effusion.",
        "Clear lungs. Degenerative changes of the thoracic and lumbar spine.",
        "The heart is normal. Old healed left rib fractures. Cholecystectomy clips. Visualized bowel gas is normal.",
        "Two views of the chest. Mild dextroscoliosis. Degenerative change of both shoulders.",
        "Enteric tube tip in the stomach. Nonobstructive bowel gas in the upper abdomen. No pneumothorax.",
        "CHEST (PORTABLE AP)\nIn comparison with the prior study there is little change.",
        "cardiomegaly",
    ] {
        assert_eq!(subject(text), Subject::Chest, "{text}");
    }
}

#[test]
fn what_is_no_english_report_is_told() {
    for (text, of) in [
        ("", Subject::Empty),
        (" \n\t", Subject::Empty),
        ("12.5 / 3 -- ???", Subject::NotProse),
        (
            "\u{53cc}\u{80ba}\u{6e05}\u{6670}\u{3002}",
            Subject::OtherScript("Chinese"),
        ),
        (
            "\u{411}\u{435}\u{437} \u{43f}\u{430}\u{442}\u{43e}\u{43b}\u{43e}\u{433}\u{438}\u{438}.",
            Subject::OtherScript("Cyrillic"),
        ),
        (
            "\u{3a7}\u{3c9}\u{3c1}\u{3af}\u{3c2} \u{3c0}\u{3bb}\u{3b5}\u{3c5}\u{3c1}\u{3b9}\u{3c4}\u{3b9}\u{3ba}\u{3ae}.",
            Subject::OtherScript("Greek"),
        ),
        (
            "\u{644}\u{627} \u{64a}\u{648}\u{62c}\u{62f}",
            Subject::OtherScript("Arabic"),
        ),
        (
            "Kein Pneumothorax. Das Herz ist nicht vergr\u{f6}\u{df}ert.",
            Subject::OtherLanguage("German"),
        ),
        ("Derrame pleural izquierdo.", Subject::OtherLanguage("Spanish")),
        (
            "Please send the invoice by Friday, and thank you for the lovely flowers.",
            Subject::Unclear,
        ),
        ("No acute disease.", Subject::Unclear),
    ] {
        assert_eq!(subject(text), of, "{text}");
    }
}

#[test]
fn each_is_a_sentence_that_says_what_to_do() {
    for subject in [
        Subject::Chest,
        Subject::Empty,
        Subject::NotProse,
        Subject::OtherScript("Greek"),
        Subject::OtherLanguage("German"),
        Subject::OtherBodyPart("knee"),
        Subject::Unclear,
    ] {
        let said = subject.to_string();
        assert!(
            said.starts_with(char::is_uppercase) && said.ends_with('.'),
            "{said}"
        );
        assert!(said.contains(": "), "{said}");
    }
}

#[test]
fn real_reports_are_of_the_chest() {
    let reports = crate::mistakes::real_reports();
    let (mut others, mut unclear) = (0, 0);
    for report in &reports {
        match subject(report) {
            Subject::Chest => {}
            Subject::Unclear | Subject::Empty | Subject::NotProse => {
                unclear += 1;
                eprintln!("unclear: {report}");
            }
            other => {
                others += 1;
                eprintln!("{other:?}: {report}");
            }
        }
    }
    eprintln!(
        "of {} real reports {others} are told to be of something else, {unclear} are unclear",
        reports.len()
    );
    assert!(others * 500 <= reports.len(), "{others} of {}", reports.len());
}
