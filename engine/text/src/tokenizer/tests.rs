#![allow(clippy::unwrap_used)]
use super::*;

const TEXTS: [&str; 4] = [
    "There is a small right-sided pleural effusion. No pneumothorax (see CT).",
    "The heart is normal in size. A 1.5 cm nodule in the right upper lobe.",
    "Small left pleural effusion with atelectasis. The patient's tube is in place.",
    "No effusion, no pneumothorax; heart size is normal.",
];

fn trained(size: usize) -> Tokenizer {
    // Twice, so that every word is worth a piece.
    Tokenizer::train(TEXTS.iter().chain(&TEXTS).map(ToString::to_string), size).unwrap()
}

#[test]
fn the_same_texts_give_the_same_vocabulary() {
    let one = trained(300).to_json().unwrap();
    for _ in 0..5 {
        assert_eq!(trained(300).to_json().unwrap(), one);
    }
    let reversed = Tokenizer::train(TEXTS.iter().rev().chain(&TEXTS).map(ToString::to_string), 300).unwrap();
    assert_eq!(reversed.to_json().unwrap(), one);
    assert!(trained(60).vocabulary_size() <= 60);
}

#[test]
fn special_tokens_have_the_first_ids() {
    let tokenizer = trained(300);
    assert_eq!(
        tokenizer.specials(),
        Specials {
            pad: 0,
            unk: 1,
            cls: 2,
            sep: 3,
            mask: 4
        }
    );
    assert_eq!(tokenizer.piece(3), "[SEP]");
    assert_eq!(tokenizer.piece(1_000_000), "");
    assert!(
        !tokenizer
            .encode("a [SEP] b [MASK]", 100)
            .unwrap()
            .iter()
            .any(|id| [2, 3, 4].contains(id))
    );
    assert_eq!(tokenizer.encode("no effusion, no effusion", 3).unwrap().len(), 3);
}

#[test]
fn text_comes_back_as_it_was_but_for_case() {
    for size in [60, 90, 300] {
        let tokenizer = trained(size);
        for text in TEXTS {
            let ids = tokenizer.encode(text, 500).unwrap();
            assert_eq!(tokenizer.decode(&ids), text.to_lowercase(), "{size}");
            assert_eq!(present(&tokenizer.decode(&ids)), text, "{size}");
        }
    }
}

#[test]
fn json_and_vocab_txt_come_back() {
    let tokenizer = trained(300);
    let again = Tokenizer::from_json(&tokenizer.to_json().unwrap()).unwrap();
    let lines: Vec<String> = (0..tokenizer.vocabulary_size() as u32)
        .map(|id| tokenizer.piece(id))
        .collect();
    let listed = Tokenizer::from_vocab_txt(&lines.join("\n")).unwrap();
    for text in TEXTS {
        let ids = tokenizer.encode(text, 500).unwrap();
        assert_eq!(again.encode(text, 500).unwrap(), ids);
        assert_eq!(listed.encode(text, 500).unwrap(), ids);
    }
}

#[test]
fn a_stream_gives_whole_words_and_the_same_text() {
    let tokenizer = trained(70);
    let text = "no pleural effusion (1.5 cm), right-sided.";
    let ids = tokenizer.encode(text, 500).unwrap();
    assert!(ids.len() > 12);
    let mut decoder = Decoder::new(&tokenizer);
    let mut given: Vec<String> = ids.iter().filter_map(|id| decoder.push(*id)).collect();
    given.push(decoder.finish());
    assert_eq!(given.concat(), text);
    assert_eq!(given[..3], ["no", " pleural", " effusion"]);
    assert_eq!(decoder.finish(), "");
    // The end of the text closes its last word.
    let specials = tokenizer.specials();
    let mut ends = Decoder::new(&tokenizer);
    assert!(
        tokenizer
            .encode("effusion", 9)
            .unwrap()
            .into_iter()
            .all(|id| ends.push(id).is_none())
    );
    assert_eq!(ends.push(specials.sep).as_deref(), Some("effusion"));
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    assert!(matches!(
        Tokenizer::from_json(b"{}"),
        Err(TextError::Tokenizer(_))
    ));
    assert!(matches!(
        Tokenizer::from_vocab_txt("[PAD]\n[UNK]\na"),
        Err(TextError::MissingToken("[CLS]"))
    ));
    assert!(matches!(
        Tokenizer::from_vocab_txt("[PAD]\n[UNK]\na\na"),
        Err(TextError::Tokenizer(_))
    ));
    assert!(matches!(
        Tokenizer::train(std::iter::empty(), 100),
        Err(TextError::Training(_))
    ));
    assert!(matches!(
        Tokenizer::train(["a".to_string()].into_iter(), 5),
        Err(TextError::Training(_))
    ));
    assert!(matches!(
        Tokenizer::read(Path::new("no such file")),
        Err(TextError::Tokenizer(_))
    ));
}

#[test]
fn words_are_presented_with_capitals() {
    assert_eq!(
        present("normal. the picc ends in the svc. (no ct.) 1.5 cm. end"),
        "Normal. The PICC ends in the SVC. (No CT.) 1.5 cm. End"
    );
    assert_eq!(present(""), "");
    assert_eq!(present("école. élan"), "École. Élan");
}
