//! Retrieval in both directions (MedViLL, section 4.1): each trial ranks 100 candidates, of which those with
//! the query's labels are relevant. A model that compares pictures alone ranks pictures of other patients.

use rand::RngExt;
use rand::seq::{SliceRandom, index};
use serde_json::{Value, json};

use super::findings::label_set;
use super::{AT_ONCE, Cases, EvaluateError, EvaluateOptions, Scores, encode, encode_all};
use crate::data::Study;
use crate::metrics::{Ranking, hit_by_chance, rank};
use crate::nn::stream;
use crate::systems::Task;
use crate::tasks::error::read_back;
use crate::tasks::retrieve::Codes;
use crate::tasks::{Features, Session, TaskError, rank_pairs};
use crate::text::{LabelSet, Labeler, Target};

/// At how many candidates the ranking is cut.
const K: usize = 5;

/// At how many more it is looked at whether one is found: R@1, R@5 and R@10 of Park et al. 2022 are [`Ranking::hit`] there.
const HITS: [usize; 3] = [1, 5, 10];

/// One ranking.
pub struct Ranked {
    /// Cut at [`K`].
    pub ranking: Ranking,
    /// Whether one that matches is among the first of each of [`HITS`].
    pub hits: [f64; 3],
    /// The same for candidates in any order.
    pub chance: [f64; 3],
    /// Who asked.
    pub query: String,
    /// The candidate that comes first.
    pub first: String,
    /// How many come before the first that matches.
    pub before: usize,
}

impl Ranked {
    /// `ids` are the candidates'.
    fn new(query: &str, ids: &[&str], scores: &[f64], relevant: &[bool]) -> Option<Self> {
        let matching = relevant.iter().filter(|r| **r).count();
        let (mut hits, mut chance) = ([0.0; 3], [0.0; 3]);
        for (at, k) in HITS.into_iter().enumerate() {
            hits[at] = rank(scores, relevant, k)?.hit;
            chance[at] = hit_by_chance(relevant.len(), matching, k);
        }
        let matches = scores.iter().zip(relevant).filter(|(_, relevant)| **relevant);
        let best = matches.map(|(score, _)| *score).max_by(f64::total_cmp)?;
        let first = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
        Some(Self {
            ranking: rank(scores, relevant, K)?,
            hits,
            chance,
            query: query.to_owned(),
            first: ids.get(first).map(|id| (*id).to_owned())?,
            before: scores.iter().filter(|score| **score > best).count(),
        })
    }
}

/// One ranking a trial and direction.
pub struct RetrievalCases {
    /// A picture asks for its report.
    pub image_to_report: Vec<Ranked>,
    /// A report asks for its picture.
    pub report_to_image: Vec<Ranked>,
}

/// Pictures that ask for pictures of other patients.
pub struct PictureCases {
    /// What each of the `trials` found.
    found: Vec<Similar>,
}

/// The nearest pictures of a picture.
struct Similar {
    /// The share of the [`K`] nearest that share a finding with it, or that are like it without any.
    nearest: f64,
    /// The same share of all that it was compared with: what drawing lots gets.
    all: f64,
}

/// Lets `trials` pictures, drawn by the seed, ask among all pictures of other patients, by their codes.
///
/// # Errors
/// Too few studies with labels, the first picture that cannot be read, a device that fails.
pub(super) async fn evaluate_pictures(
    session: &Session,
    studies: &[Study],
    options: &EvaluateOptions<'_>,
    mut progress: impl FnMut(usize),
) -> Result<PictureCases, EvaluateError> {
    let (labeler, set) = (Labeler::new(), label_set(session));
    let of = |study: &Study| -> Option<Vec<bool>> {
        let targets = study.targets(&set, &labeler);
        let known = targets.iter().any(Option::is_some);
        known.then(|| targets.into_iter().map(|target| target == Some(true)).collect())
    };
    let labelled = studies.iter().filter(|s| s.has_image());
    let labelled: Vec<(&Study, Vec<bool>)> = labelled.filter_map(|s| Some((s, of(s)?))).collect();
    let told: Vec<Study> = labelled.iter().map(|(study, _)| (*study).clone()).collect();
    let mut values = Vec::new();
    let mut width = 0;
    for part in told.chunks(AT_ONCE) {
        let code = session.system().code(encode(session, part, None)?);
        let code = code.ok_or(TaskError::NoHead("code to compare pictures by"))?;
        width = code.dims()[1];
        values.extend(read_back(code).await?);
    }
    let codes = Codes::new(&values, width.max(1));
    let mut queries: Vec<usize> = (0..told.len()).collect();
    queries.shuffle(&mut stream(options.seed, 0));
    queries.truncate(options.trials);
    let mut found = Vec::new();
    for (number, &query) in queries.iter().enumerate() {
        let (own, labels) = &labelled[query];
        let similarities = codes.similarities(&values[query * width..][..width]);
        let other = |at: &usize| labelled[*at].0.subject != own.subject;
        let mut order: Vec<usize> = (0..told.len()).filter(other).collect();
        if order.is_empty() {
            continue;
        }
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        let none = |labels: &[bool]| !labels.contains(&true);
        let alike = |at: &usize| {
            let theirs = &labelled[*at].1;
            (none(labels) && none(theirs)) || labels.iter().zip(theirs).any(|(a, b)| *a && *b)
        };
        let share = |of: &[usize]| of.iter().filter(|at| alike(at)).count() as f64 / of.len() as f64;
        found.push(Similar {
            nearest: share(&order[..K.min(order.len())]),
            all: share(&order),
        });
        progress(number + 1);
    }
    if found.is_empty() {
        return Err(EvaluateError::Data(
            "finding similar pictures needs labelled pictures of at least two patients",
        ));
    }
    Ok(PictureCases { found })
}

impl Cases for PictureCases {
    fn len(&self) -> usize {
        self.found.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mean = |of: fn(&Similar) -> f64| {
            indices.iter().map(|i| of(&self.found[*i])).sum::<f64>() / indices.len().max(1) as f64
        };
        let named = [
            (format!("shares_finding_at_{K}"), mean(|similar| similar.nearest)),
            ("shares_finding_by_chance".to_owned(), mean(|similar| similar.all)),
        ];
        named.into_iter().collect()
    }
}

/// Lets `trials` pictures and as many reports ask among `candidates` each, their own with them; the seed
/// draws both.
///
/// # Errors
/// Too few studies with reports, the first picture that cannot be read, a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    options: &EvaluateOptions<'_>,
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
        .map(|s| session.encode_text(Task::Retrieve, &session.reference(&s.report)));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
    let features = Features::of(session, &images, &texts).await?;
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
            let scores = rank_pairs(session, &images, &texts, features.as_ref(), &pairs).await?;
            let matches = |&other: &usize| match options.exact {
                true => other == query,
                false => labels[other] == labels[query],
            };
            let relevant: Vec<bool> = pool.iter().map(matches).collect();
            let ids: Vec<&str> = pool.iter().map(|&other| told[other].id.as_str()).collect();
            let ranking = Ranked::new(&told[query].id, &ids, &scores, &relevant)
                .ok_or(EvaluateError::Data("a ranking could not be scored"))?;
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

    /// One line a ranking: who asked, what came first, and how many came before one that matches.
    fn lines(&self) -> Vec<Value> {
        let of = |direction: &'static str, rankings: &[Ranked]| -> Vec<Value> {
            let line = |r: &Ranked| json!({ "direction": direction, "query": r.query, "first": r.first, "before": r.before });
            rankings.iter().map(line).collect()
        };
        let mut lines = of("image_to_report", &self.image_to_report);
        lines.extend(of("report_to_image", &self.report_to_image));
        lines
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mut scores = Scores::new();
        let count = indices.len().max(1) as f64;
        for (direction, rankings) in [
            ("image_to_report", &self.image_to_report),
            ("report_to_image", &self.report_to_image),
        ] {
            for &i in indices {
                let Ranked {
                    ranking,
                    hits,
                    chance,
                    ..
                } = &rankings[i];
                let named = HITS.into_iter().zip(hits.iter().zip(chance));
                // That at K is among the ranking's own.
                let found = named
                    .clone()
                    .filter(|(k, _)| *k != K)
                    .map(|(k, (hit, _))| (format!("hit_at_{k}"), *hit));
                let by_chance = named.map(|(k, (_, chance))| (format!("hit_at_{k}_by_chance"), *chance));
                for (name, value) in ranking.named(K).into_iter().chain(found).chain(by_chance) {
                    *scores.entry(format!("{direction}_{name}")).or_default() += value / count;
                    // Without a direction: the mean of both.
                    *scores.entry(name).or_default() += value / count / 2.0;
                }
            }
        }
        scores
    }
}
