//! Retrieval in both directions (MedViLL, section 4.1): each trial ranks 100 candidates, of which those with
//! the query's labels are relevant.

use rand::RngExt;
use rand::seq::{SliceRandom, index};

use super::{Cases, EvaluateError, EvaluateOptions, Scores, encode_all};
use crate::data::Study;
use crate::metrics::{Ranking, rank};
use crate::nn::stream;
use crate::systems::Task;
use crate::tasks::{Session, match_probabilities};
use crate::text::{LabelSet, Labeler, Target};

/// At how many candidates the ranking is cut.
const K: usize = 5;

/// One ranking a trial and direction.
pub struct RetrievalCases {
    /// A picture asks for its report.
    pub image_to_report: Vec<Ranking>,
    /// A report asks for its picture.
    pub report_to_image: Vec<Ranking>,
}

/// Lets `trials` pictures and as many reports ask among `candidates` each, their own with them; the seed
/// draws both.
///
/// # Errors
/// Too few studies with reports, the first picture that cannot be read, a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    options: &EvaluateOptions,
    mut progress: impl FnMut(usize),
) -> Result<RetrievalCases, EvaluateError> {
    let &EvaluateOptions {
        candidates,
        trials,
        seed,
        ..
    } = options;
    let told: Vec<Study> = studies
        .iter()
        .filter(|s| s.has_image() && !s.report.longer().is_empty())
        .cloned()
        .collect();
    if told.len() < 2 {
        return Err(EvaluateError::Data(
            "retrieval needs at least two studies with a picture and a report",
        ));
    }
    let images = encode_all(session, &told, &mut |_| ())?;
    let tokens = told
        .iter()
        .map(|s| session.encode_text(Task::Retrieve, s.report.longer()));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
    let (labeler, set) = (Labeler::new(), LabelSet::chexpert14());
    let labels: Vec<Vec<Target>> = told.iter().map(|s| s.targets(&set, &labeler)).collect();
    let candidates = candidates.min(told.len());
    let mut queries: Vec<usize> = (0..told.len()).collect();
    queries.shuffle(&mut stream(seed, 0));
    queries.truncate(trials);
    let mut cases = RetrievalCases {
        image_to_report: Vec::new(),
        report_to_image: Vec::new(),
    };
    for (number, &query) in queries.iter().enumerate() {
        for to_report in [true, false] {
            let mut rng = stream(seed, 1 + 2 * number as u64 + u64::from(to_report));
            let mut pool = index::sample(&mut rng, told.len(), candidates).into_vec();
            if !pool.contains(&query) {
                let place = rng.random_range(0..pool.len());
                pool[place] = query;
            }
            let pair = |&other: &usize| if to_report { (query, other) } else { (other, query) };
            let pairs: Vec<(usize, usize)> = pool.iter().map(pair).collect();
            let scores = match_probabilities(session, &images, &texts, &pairs).await?;
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let relevant: Vec<bool> = pool.iter().map(|&other| labels[other] == labels[query]).collect();
            let ranking =
                rank(&scores, &relevant, K).ok_or(EvaluateError::Data("a ranking could not be scored"))?;
            if to_report {
                &mut cases.image_to_report
            } else {
                &mut cases.report_to_image
            }
            .push(ranking);
        }
        progress(number + 1);
    }
    Ok(cases)
}

impl Cases for RetrievalCases {
    fn len(&self) -> usize {
        self.image_to_report.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mut scores = Scores::new();
        let count = indices.len().max(1) as f64;
        for (direction, rankings) in [
            ("image_to_report", &self.image_to_report),
            ("report_to_image", &self.report_to_image),
        ] {
            for &i in indices {
                for (name, value) in rankings[i].named(K) {
                    *scores.entry(format!("{direction}_{name}")).or_default() += value / count;
                    // Without a direction: the mean of both.
                    *scores.entry(name).or_default() += value / count / 2.0;
                }
            }
        }
        scores
    }
}
