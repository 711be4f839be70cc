//! The report of a phantom in Chinese: one short sentence for each thing seen, with side, zone and size, and one for
//! each organ where nothing is. The words follow from the description alone, in one wording.

use super::describe::{Description, Kind, Observation, Severity};
use hilum_text::{Finding, Labels, Report, Side, Zone};

/// What may lie in a lung.
const LUNG: [Finding; 6] = [
    Finding::LungLesion,
    Finding::LungOpacity,
    Finding::Edema,
    Finding::Consolidation,
    Finding::Pneumonia,
    Finding::Atelectasis,
];

/// Writes the report of a description in Chinese: findings organ by organ, and what matters of them.
pub fn chinese_report(description: &Description) -> Report {
    let labels = description.labels();
    let mut findings: Vec<String> = Vec::new();
    for organ in ORGANS {
        let mut here: Vec<&Observation> = description
            .observations
            .iter()
            .filter(|o| organ.kinds.contains(&o.kind))
            .collect();
        here.sort_by_key(|o| (o.kind as u8, o.side.map(|s| s as u8), o.zone.map(|z| z as u8)));
        for o in here {
            findings.push(format!("{}{}。", seen(o), suggested(o)));
        }
        findings.extend((organ.normal)(&labels).map(str::to_owned));
    }
    let impression = match chinese_terms(description) {
        terms if terms.is_empty() => "心肺未见明显异常。".to_owned(),
        terms => format!("{}。", terms.join("；")),
    };
    Report {
        findings: findings.concat(),
        impression,
    }
}

/// What a description shows, devices aside, in a few words each: "左侧胸腔积液".
pub fn chinese_terms(description: &Description) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for o in &description.observations {
        let Some(noun) = noun(o.kind) else { continue };
        let term = format!("{}{noun}{}", place(o), suggested(o));
        if !terms.contains(&term) {
            terms.push(term);
        }
    }
    terms
}

/// Where findings stand together, and what is said where there is none.
struct Organ {
    kinds: &'static [Kind],
    normal: fn(&Labels) -> Option<&'static str>,
}

const ORGANS: [Organ; 6] = [
    Organ {
        kinds: &[
            Kind::Consolidation,
            Kind::Pneumonia,
            Kind::Opacity,
            Kind::Atelectasis,
            Kind::Edema,
            Kind::Nodule,
            Kind::Mass,
        ],
        normal: |labels| lacks(labels, &LUNG).then_some("双肺纹理清晰，双肺野未见异常密度影。"),
    },
    Organ {
        kinds: &[Kind::Effusion, Kind::Pneumothorax, Kind::PleuralThickening],
        normal: |labels| {
            let fluid = lacks(labels, &[Finding::PleuralEffusion]);
            let air = lacks(labels, &[Finding::Pneumothorax]);
            match (fluid, air) {
                (true, true) => Some("双侧胸腔未见积液及气胸。"),
                (true, false) => Some("双侧胸腔未见积液。"),
                (false, true) => Some("未见气胸。"),
                (false, false) => None,
            }
        },
    },
    Organ {
        kinds: &[Kind::Cardiomegaly],
        normal: |labels| lacks(labels, &[Finding::Cardiomegaly]).then_some("心影大小正常。"),
    },
    Organ {
        kinds: &[Kind::WideMediastinum],
        normal: |labels| lacks(labels, &[Finding::EnlargedCardiomediastinum]).then_some("纵隔未见增宽。"),
    },
    Organ {
        kinds: &[Kind::RibFracture],
        normal: |labels| lacks(labels, &[Finding::Fracture]).then_some("胸廓骨质未见异常。"),
    },
    Organ {
        kinds: &[Kind::EtTube, Kind::CentralLine, Kind::Pacemaker, Kind::ChestDrain],
        normal: |_| None,
    },
];

/// Neither there nor suggested.
fn lacks(labels: &Labels, findings: &[Finding]) -> bool {
    findings.iter().all(|f| labels[*f as usize].is_none())
}

/// One observation as a clause: "左侧胸腔少量积液".
fn seen(o: &Observation) -> String {
    let place = place(o);
    let amount = size(o, ["少量", "中等量", "大量"]);
    let patch = size(o, ["小片状", "片状", "大片状"]);
    let degree = size(o, ["轻度", "中度", "重度"]);
    match o.kind {
        Kind::Effusion => format!("{place}{amount}积液"),
        Kind::Pneumothorax => format!("{place}{amount}气胸"),
        Kind::Consolidation => format!("{place}见{patch}实变影"),
        Kind::Pneumonia => format!("{place}见{patch}炎性渗出影，边缘模糊"),
        Kind::Opacity => format!("{place}见{patch}磨玻璃影"),
        Kind::Atelectasis => format!("{place}{degree}不张"),
        Kind::Edema => format!("{place}{degree}肺水肿"),
        Kind::Nodule => format!("{place}见{}结节影", size(o, ["小", "", "大"])),
        Kind::Mass => format!("{place}见{}肿块影", size(o, ["小", "", "大"])),
        Kind::Cardiomegaly | Kind::WideMediastinum => {
            let (organ, change) = if o.kind == Kind::Cardiomegaly {
                ("心影", "增大")
            } else {
                ("纵隔", "增宽")
            };
            format!("{organ}{degree}{change}")
        }
        Kind::PleuralThickening => format!("{place}{degree}增厚"),
        Kind::RibFracture => format!("{place}{}骨折", size(o, ["单根", "两根", "多根"])),
        Kind::EtTube => "气管插管在位".to_owned(),
        Kind::CentralLine => format!("{place}中心静脉导管在位"),
        Kind::Pacemaker => format!("{place}见心脏起搏器"),
        Kind::ChestDrain => format!("{place}引流管在位"),
    }
}

/// As the impression names it behind its place; `None` of devices.
fn noun(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Effusion => "积液",
        Kind::Pneumothorax => "气胸",
        Kind::Consolidation => "实变",
        Kind::Pneumonia => "肺炎",
        Kind::Opacity => "磨玻璃影",
        Kind::Atelectasis => "不张",
        Kind::Edema => "肺水肿",
        Kind::Cardiomegaly => "心影增大",
        Kind::WideMediastinum => "纵隔增宽",
        Kind::Nodule => "结节",
        Kind::Mass => "肿块",
        Kind::PleuralThickening => "增厚",
        Kind::RibFracture => "骨折",
        Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => return None,
    })
}

/// The place that stands before the noun; empty of what lies in the middle.
fn place(o: &Observation) -> String {
    let side = match o.side {
        Some(Side::Left) => "左侧",
        Some(Side::Right) => "右侧",
        Some(Side::Bilateral) => "双侧",
        None => "",
    };
    let third = match o.zone {
        Some(Zone::Upper) => "上",
        Some(Zone::Mid) => "中",
        Some(Zone::Lower) => "下",
        None => "",
    };
    match o.kind {
        Kind::Consolidation
        | Kind::Pneumonia
        | Kind::Opacity
        | Kind::Atelectasis
        | Kind::Nodule
        | Kind::Mass
        | Kind::Edema => {
            // "左肺", not "左侧肺"; a third is a field of it.
            let lung = side.chars().take(1).collect::<String>();
            let field = if third.is_empty() { "" } else { "野" };
            match (lung.is_empty(), third.is_empty()) {
                (true, true) => String::new(),
                _ => format!("{lung}肺{third}{field}"),
            }
        }
        Kind::Effusion => format!("{side}胸腔"),
        Kind::Pneumothorax => side.to_owned(),
        Kind::PleuralThickening if o.zone == Some(Zone::Upper) => format!("{side}肺尖胸膜"),
        Kind::PleuralThickening => format!("{side}胸膜"),
        Kind::RibFracture if third.is_empty() => format!("{side}肋骨"),
        Kind::RibFracture => format!("{side}{third}部肋骨"),
        Kind::CentralLine => side.to_owned(),
        Kind::Pacemaker => format!("{side}胸壁"),
        Kind::ChestDrain => format!("{side}胸腔"),
        Kind::Cardiomegaly | Kind::WideMediastinum | Kind::EtTube => String::new(),
    }
}

fn size(o: &Observation, words: [&'static str; 3]) -> &'static str {
    words[match o.severity {
        Severity::Small => 0,
        Severity::Moderate => 1,
        Severity::Large => 2,
    }]
}

/// What a careful reader would not exclude, as a clause; empty where nothing is suggested.
fn suggested(o: &Observation) -> String {
    let names: Vec<&str> = o.suggests.iter().map(|f| category(*f)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("，不除外{}", names.join("或")),
    }
}

const fn category(finding: Finding) -> &'static str {
    match finding {
        Finding::NoFinding => "正常",
        Finding::EnlargedCardiomediastinum => "纵隔增宽",
        Finding::Cardiomegaly => "心影增大",
        Finding::LungLesion => "占位",
        Finding::LungOpacity => "肺部阴影",
        Finding::Edema => "肺水肿",
        Finding::Consolidation => "实变",
        Finding::Pneumonia => "肺炎",
        Finding::Atelectasis => "不张",
        Finding::Pneumothorax => "气胸",
        Finding::PleuralEffusion => "胸腔积液",
        Finding::PleuralOther => "胸膜增厚",
        Finding::Fracture => "骨折",
        Finding::SupportDevices => "置管",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{View, describe};

    fn of(observations: Vec<Observation>) -> Report {
        chinese_report(&Description {
            seed: 1,
            view: View::Pa,
            observations,
        })
    }

    fn one(kind: Kind, side: Option<Side>, zone: Option<Zone>, severity: Severity) -> Observation {
        Observation {
            kind,
            side,
            zone,
            severity,
            suggests: Vec::new(),
        }
    }

    #[test]
    fn a_normal_chest_is_said_to_be_normal() {
        let normal = of(Vec::new());
        assert_eq!(
            normal.findings,
            "双肺纹理清晰，双肺野未见异常密度影。双侧胸腔未见积液及气胸。心影大小正常。纵隔未见增宽。胸廓骨质未见异常。"
        );
        assert_eq!(normal.impression, "心肺未见明显异常。");
    }

    #[test]
    fn each_finding_is_told_with_side_and_size() {
        let mut nodule = one(
            Kind::Nodule,
            Some(Side::Right),
            Some(Zone::Upper),
            Severity::Small,
        );
        nodule.suggests = vec![Finding::Pneumonia];
        let report = of(vec![
            one(Kind::Cardiomegaly, None, None, Severity::Moderate),
            one(Kind::Effusion, Some(Side::Left), None, Severity::Small),
            nodule,
        ]);
        assert_eq!(
            report.findings,
            "右肺上野见小结节影，不除外肺炎。左侧胸腔少量积液。未见气胸。心影中度增大。纵隔未见增宽。胸廓骨质未见异常。"
        );
        assert_eq!(
            report.impression,
            "心影增大；左侧胸腔积液；右肺上野结节，不除外肺炎。"
        );
    }

    #[test]
    fn nothing_that_is_there_is_denied_and_every_sentence_ends() {
        for seed in 0..600 {
            let description = describe(seed);
            let Report { findings, impression } = chinese_report(&description);
            let labels = description.labels();
            for (finding, denial) in [
                (Finding::PleuralEffusion, "未见积液"),
                (Finding::Pneumothorax, "未见气胸"),
                (Finding::Cardiomegaly, "心影大小正常"),
                (Finding::EnlargedCardiomediastinum, "纵隔未见"),
                (Finding::Fracture, "骨质未见"),
                (Finding::Pneumonia, "双肺纹理清晰"),
                (Finding::Edema, "双肺纹理清晰"),
            ] {
                let there = labels[finding as usize].is_some();
                assert!(!(there && findings.contains(denial)), "{findings}");
            }
            let told = findings.matches('。').count();
            assert!(
                told >= description.observations.len() && findings.ends_with('。'),
                "{findings}"
            );
            assert!(impression.ends_with('。') && !findings.contains("。。"));
            assert!((20..=200).contains(&findings.chars().count()), "{findings}");
        }
    }
}
