//! Configs that cannot run, and what a run cannot do.

use super::*;
use crate::systems::DataFacts;

#[test]
fn a_config_that_cannot_run_is_refused_by_its_key() {
    type Change = fn(&mut XvlConfig);
    let cases: [(&str, Change); 16] = [
        ("vit", |c| c.vit.heads = 5),
        ("vit.pooling", |c| c.vit.class_token = false),
        ("vit.size", |c| c.preprocessing.size = 80),
        ("vit.width", |c| c.bert.width = 64),
        ("fusion", |c| c.fusion = 5),
        ("max_tokens", |c| c.max_tokens = 0),
        ("bert.positions", |c| c.max_tokens = 39),
        ("bert.initializer_range", |c| c.bert.initializer_range = 0.0),
        ("contrast.within", |c| c.contrast.within = [0.5, 0.1]),
        ("contrast.temperature", |c| c.contrast.temperature = 0.9),
        ("contrast", |c| c.contrast.queue = (1 << 20) + 1),
        ("contrast.left_out", |c| c.contrast.left_out = 1.0),
        ("contrast.lambda", |c| c.contrast.lambda = 1.5),
        ("keyword", |c| c.keyword = 0.0),
        ("mim.ratio", |c| c.mim.ratio = 1.0),
        ("labels", |c| c.labels = "all".to_owned()),
    ];
    for (key, change) in cases {
        let mut config = XvlConfig::tiny();
        change(&mut config);
        // Pooling by a class token that is not there is no ViT either.
        let found = config.validate().unwrap_err().key;
        assert!(
            found == key || (key == "vit.pooling" && found == "vit"),
            "{found}, not {key}"
        );
    }
    let facts = |studies: usize, together: usize| DataFacts {
        vocabulary: 100,
        side_tokens: 0,
        answers: &[],
        studies,
        together,
        mesh: None,
        on: &|name| name == "contrast",
    };
    assert!(XvlConfig::tiny().with_data(&facts(8, 2)).is_ok());
    let refused = |studies, together| {
        XvlConfig::tiny()
            .with_data(&facts(studies, together))
            .unwrap_err()
    };
    assert_eq!(refused(7, 2).key, "contrast.queue");
    assert_eq!(refused(8, 1).key, "optim.batch");
}

#[test]
fn without_matching_features_alone_retrieve_and_nothing_is_checked() {
    let learned = |names: &'static [&str]| Xvl::learned(&move |name| names.contains(&name));
    assert_eq!(learned(&["mlm", "report"]), [Task::Draft]);
    assert_eq!(
        learned(&["contrast", "mlm", "report"]),
        [Task::Retrieve, Task::Draft]
    );
    let mut config = XvlConfig::tiny();
    let contrast = |name: &str| name == "contrast";
    assert!(config.validate_objectives(&contrast).is_err());
    config.paths = Paths::Neither;
    assert!(config.validate_objectives(&contrast).is_ok());
    assert!(config.validate_objectives(&|name| name == "itm").is_err());
    assert_eq!(learned(&["itm", "mlm"]), [Task::Retrieve, Task::Check]);
}
