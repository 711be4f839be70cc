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

fn of_words(texts: &[&str], least: u64, most: usize) -> Tokenizer {
    Tokenizer::train_words(texts.iter().map(ToString::to_string), least, most).unwrap()
}

fn pieces(tokenizer: &Tokenizer) -> Vec<String> {
    (0..tokenizer.vocabulary_size() as u32)
        .map(|id| tokenizer.piece(id))
        .collect()
}

#[test]
fn words_seen_often_enough_are_a_vocabulary() {
    let texts = [
        "Clear lungs.",
        "No effusion. The LUNGS are clear.",
        "lungs, heart",
    ];
    let all = of_words(&texts, 2, 100);
    assert_eq!(
        pieces(&all),
        [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "lungs", "clear"
        ]
    );
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    assert_eq!(
        of_words(&reversed, 2, 100).to_json().unwrap(),
        all.to_json().unwrap()
    );
    assert_eq!(of_words(&texts, 2, 7).vocabulary_size(), 7);
    assert!(all.is_words() && !trained(300).is_words());
    for (piece, id) in [
        ("lungs", Some(6)),
        ("[MASK]", Some(4)),
        ("heart", None),
        ("Lungs", None),
    ] {
        assert_eq!(all.id(piece), id, "{piece}");
    }
    let unk = all.specials().unk;
    assert_eq!(
        all.encode("LUNGS: clear, no [SEP] heart.", 100).unwrap(),
        [6, unk, 7, unk, unk, unk, unk, unk, unk, 5]
    );
    assert_eq!(
        all.encode_closed("clear lungs", 1).unwrap(),
        [7, all.specials().sep]
    );
}

#[test]
fn whole_words_come_back_as_text_and_as_json() {
    let tokenizer = of_words(&TEXTS, 1, 1000);
    let again = Tokenizer::from_json(&tokenizer.to_json().unwrap()).unwrap();
    assert!(again.is_words());
    assert_eq!(again.specials(), tokenizer.specials());
    for text in TEXTS {
        let ids = tokenizer.encode(text, 500).unwrap();
        assert_eq!(again.encode(text, 500).unwrap(), ids);
        assert_eq!(again.decode(&ids), text.to_lowercase());
        let mut presenter = Presenter::new(&again);
        let mut shown: String = ids.iter().map(|id| presenter.push(*id)).collect();
        shown += &presenter.finish();
        assert_eq!(shown, text);
    }
}

#[test]
fn a_whole_word_never_continues_another() {
    let json = of_words(&["lungs clear"], 1, 100).to_json().unwrap();
    let json = String::from_utf8(json)
        .unwrap()
        .replace("\"lungs\"", "\"##lungs\"");
    let tokenizer = Tokenizer::from_json(json.as_bytes()).unwrap();
    let ids = ["clear", "##lungs"].map(|piece| tokenizer.id(piece).unwrap());
    assert_eq!(tokenizer.decode(&ids), "clear ##lungs");
}

#[test]
fn too_few_words_are_refused() {
    let train = |texts: &[&str], least, most| {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Tokenizer::train_words(texts.into_iter(), least, most)
            .err()
            .unwrap()
            .to_string()
    };
    for (error, expected) in [
        (train(&[], 1, 100), "no text holds a word"),
        (
            train(&["a b a"], 3, 100),
            "no word occurs 3 times or more, the most frequent, \"a\", 2",
        ),
        (train(&["a b a"], 1, 5), "5 pieces leave no room"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn chinese_words_are_pieces_and_stand_without_spaces() {
    let texts = ["双肺纹理增多，心影正常。", "胸部CT平扫：双肺未见异常。"];
    let words = of_words(&texts, 1, 100);
    for word in ["双肺", "纹理", "心影", "ct", "，", "。"] {
        assert!(words.id(word).is_some(), "{word}");
    }
    // By characters with word pieces, as BERT does.
    let characters = Tokenizer::train(texts.iter().map(ToString::to_string), 100).unwrap();
    assert!(characters.id("双").is_some() && characters.id("双肺").is_none());
    for (text, decoded, shown) in [
        (texts[0], texts[0], texts[0]),
        (
            texts[1],
            "胸部 ct 平扫：双肺未见异常。",
            "胸部 CT 平扫：双肺未见异常。",
        ),
        ("双肺 纹理 增多", "双肺纹理增多", "双肺纹理增多"),
    ] {
        for tokenizer in [&words, &characters] {
            let ids = tokenizer.encode(text, 100).unwrap();
            assert!(!ids.contains(&tokenizer.specials().unk), "{text}");
            assert_eq!(tokenizer.decode(&ids), decoded);
            assert_eq!(present(decoded), shown);
            let mut presenter = Presenter::new(tokenizer);
            let grown: String = ids.iter().map(|id| presenter.push(*id)).collect();
            assert_eq!(grown + &presenter.finish(), shown);
        }
    }
}
