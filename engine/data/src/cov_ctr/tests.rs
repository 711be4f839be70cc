//! Phantoms in the layout, the published form, and what may go wrong.

use std::fs;

use super::*;
use crate::phantom;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, Split};
use hilum_text::{LabelSet, Labeler};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::CovCtr, |_, loaded| {
        assert_eq!(loaded.classes, [COVID]);
        let (set, labeler) = (LabelSet::named("covid").unwrap(), Labeler::new());
        for study in &loaded.studies {
            let description = study.description.as_ref().unwrap();
            assert_eq!(study.report, phantom::chinese_report(description));
            let covid = write::has_covid(description);
            assert!(study.labelled() && study.classes.contains(&COVID.to_owned()) == covid);
            assert_eq!(study.targets(&set, &labeler), [Some(covid), None, None]);
        }
    });
    misses(Layout::CovCtr);
}

/// As published: a mark before the header, English reports that end in a line of their own.
const ROWS: &str = "\u{feff}image_id,findings,terminologies,COVID,impression,reports_En\n\
                    83%2.jpg,双肺纹理清晰。,未见异常,0,未见异常,\"Both lungs are clear.\n\"\n\
                    83%0.jpg,右肺上叶见磨玻璃影。,磨玻璃影,1,病毒性肺炎,\"Ground glass.\n\"\n\
                    2020.02.17.2-p17-61%1.png,左肺见斑片影。,斑片影,1,肺炎,\"Patches.\n\"\n\
                    83%2.jpg,双肺清晰。,未见异常,0,未见异常,\"Clear lungs.\n\"\n";

fn by_hand(root: &Path, table: &str) {
    for name in ["83%2.jpg", "83%0.jpg", "2020.02.17.2-p17-61%1.png", "25%0.jpg"] {
        fs::write(root.join(name), "x").unwrap();
    }
    fs::write(root.join(TABLE), table).unwrap();
}

#[test]
fn the_chinese_report_is_read_and_panels_of_a_figure_share_a_split() {
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), ROWS);
    let loaded = read(folder.path());
    assert_eq!(loaded.layout, Layout::CovCtr);
    let [a, b, c] = &loaded.studies[..] else {
        panic!("three")
    };
    assert_eq!(
        (a.report.findings.as_str(), a.report.impression.as_str()),
        ("双肺纹理清晰。", "未见异常"),
        "the first row of a picture counts"
    );
    assert_eq!(
        (a.subject.as_str(), b.subject.as_str(), c.subject.as_str()),
        ("83", "83", "2020.02.17.2-p17-61")
    );
    assert_eq!(a.split, b.split);
    assert!(a.classes.is_empty() && a.labelled() && b.classes == [COVID]);
    assert_eq!(
        b.labels.unwrap()[Finding::Pneumonia as usize],
        Some(Certainty::Positive)
    );
    // An English labeler has nothing to say of a Chinese text: what is not labelled is unknown.
    let targets = a.targets(&LabelSet::chexpert14(), &Labeler::new());
    assert!(targets.iter().all(Option::is_none), "{targets:?}");
    assert!(
        loaded.notes.iter().any(|n| n.starts_with("1 rows")),
        "{:?}",
        loaded.notes
    );
    // Renamed, with a folder of its own for the pictures, as others unpack it.
    fs::rename(folder.path().join(TABLE), folder.path().join(RENAMED)).unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    for study in &loaded.studies {
        fs::rename(&study.image, folder.path().join("images").join(&study.id)).unwrap();
    }
    assert_eq!(read(folder.path()).counts, loaded.counts);
}

#[test]
fn seven_tenths_train_one_validates_and_two_test() {
    let drawn: Vec<Split> = (0..3000)
        .map(|i| crate::collect::by_patient(figure(&format!("{i}%1.jpg")), SHARES.0, SHARES.1))
        .collect();
    let share = |s: Split| drawn.iter().filter(|d| **d == s).count() as f64 / 3000.0;
    for (split, wanted) in [(Split::Train, 0.7), (Split::Validate, 0.1), (Split::Test, 0.2)] {
        assert!((share(split) - wanted).abs() < 0.03, "{split}");
    }
    assert_eq!(
        [figure("20.jpg"), figure("%1.jpg"), figure("a%b%1.png")],
        ["20", "%1", "a"]
    );
}

#[test]
fn damaged_tables_say_where() {
    for (from, to, part) in [
        ("磨玻璃影,1,", "磨玻璃影,yes,", "line 4"),
        ("83%0.jpg", "../83.jpg", "line 4"),
        ("COVID", "Covid19", "\"COVID\""),
        ("findings", "finding", "\"findings\""),
        ("image_id", "image", "\"image_id\""),
        ("斑片影,1,", "斑片影,1,,", TABLE),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), &ROWS.replacen(from, to, 1));
        let message = refusal(folder.path(), Layout::CovCtr);
        assert!(message.contains(part) && message.contains(TABLE), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::CovCtr, 2, Format::Png);
    edit(&folder.path().join(TABLE), |t| {
        t.lines().next().unwrap().to_owned() + "\n"
    });
    assert!(refusal(folder.path(), Layout::CovCtr).contains("no study"));
    fs::remove_file(folder.path().join(TABLE)).unwrap();
    assert!(refusal(folder.path(), Layout::CovCtr).contains(TABLE));
}
