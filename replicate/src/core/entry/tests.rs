use super::*;
use crate::core::id::NodeId;
use proptest::prelude::*;

/// The stored form, byte for byte. If this fails, a released log is no longer readable: add, never change.
const GOLDEN: &str = concat!(
    r#"{"v":1,"d":["000000000000000000000000000000aa",3,42],"s":"cfg","#,
    r#""t":{"lam":77,"wall":1787000000000,"q":"ntp","boot":"00000000000000000000000000000000","mono":12345},"#,
    r#""k":"schedule","id":"01991c2e00007000800000000000002a","g":"label","op":"put","val":{"title":"Physics  I"},"#,
    r#""sup":[["000000000000000000000000000000bb",1,7]],"by":"u:1","why":"moved","#,
    r#""of":[["sec","000000000000000000000000000000aa",3,9]],"#,
    r#""ph":"0000000000000000000000000000000000000000000000000000000000000000"}"#
);
const GOLDEN_HASH: &str = "fdfda1c849586d92c83cca97a5c5f234fafafab670f04421bf12aacfbd31cf5a";

fn golden_fields() -> Fields {
    Fields {
        v: 1,
        d: Dot { node: NodeId::from_u128(0xaa), inc: 3, seq: 42 },
        s: Stream::Cfg,
        t: Stamp { lam: 77, wall: 1_787_000_000_000, q: Quality::Ntp, boot: BootId([0; 16]), mono: 12_345 },
        k: "schedule".to_string(),
        id: RecordId::from_u128(0x0199_1c2e_0000_7000_8000_0000_0000_002a),
        g: "label".to_string(),
        op: Op::Put,
        val: RawValue::from_string(r#"{"title":"Physics  I"}"#.to_string()).unwrap(),
        sup: vec![Dot { node: NodeId::from_u128(0xbb), inc: 1, seq: 7 }],
        by: "u:1".to_string(),
        why: Some("moved".to_string()),
        of: vec![Position { stream: Stream::Sec, dot: Dot { node: NodeId::from_u128(0xaa), inc: 3, seq: 9 } }],
        ph: Hash::NOTHING,
    }
}

fn changed(from: &str, to: &str) -> Result<Entry, Malformed> {
    assert!(GOLDEN.contains(from), "{from}");
    Entry::parse(GOLDEN.replacen(from, to, 1).as_bytes())
}

#[test]
fn an_entry_is_written_in_these_bytes() {
    let entry = Entry::write(&golden_fields()).unwrap();

    assert_eq!(std::str::from_utf8(&entry.raw).unwrap(), GOLDEN);
    assert_eq!(entry.hash.to_string(), GOLDEN_HASH);
}

#[test]
fn an_entry_says_what_was_written() {
    let entry = Entry::parse(GOLDEN.as_bytes()).unwrap();
    let fields = entry.fields.unwrap();

    assert_eq!(entry.at, Position { stream: Stream::Cfg, dot: golden_fields().d });
    assert_eq!((entry.lam, fields.sup.clone(), fields.of.clone()), (77, golden_fields().sup, golden_fields().of));
    assert_eq!(fields.val.get(), r#"{"title":"Physics  I"}"#);
    assert_eq!((fields.by.as_str(), fields.why.as_deref()), ("u:1", Some("moved")));
}

#[test]
fn unknown_fields_stay_in_the_bytes() {
    let entry = changed(r#""by":"#, r#""later":{"a":[1]},"by":"#).unwrap();

    assert!(std::str::from_utf8(&entry.raw).unwrap().contains(r#""later":{"a":[1]}"#));
    assert!(entry.fields.is_some());
}

#[test]
fn an_unknown_act_is_an_entry() {
    assert_eq!(changed(r#""put""#, r#""paint""#).unwrap().fields.unwrap().op, Op::Unknown("paint".to_string()));
}

#[test]
fn a_later_form_needs_only_its_envelope() {
    let later = GOLDEN.replacen(r#""v":1"#, r#""v":2"#, 1).replacen(r#""k":"schedule""#, r#""k":[1,2]"#, 1);
    let entry = Entry::parse(later.as_bytes()).unwrap();

    assert!(entry.fields.is_none());
    assert_eq!(entry.at.dot.seq, 42);
    assert!(changed(r#""k":"schedule""#, r#""k":[1,2]"#).is_err());
}

#[test]
fn what_is_beyond_a_limit_is_refused() {
    let out = |field| Err(Malformed::OutOfBounds(field));
    assert_eq!(changed(r#"3,42]"#, r#"0,42]"#), out("d"));
    assert_eq!(changed(r#"3,42]"#, r#"3,0]"#), out("d"));
    assert_eq!(changed(r#"3,42]"#, r#"3,9007199254740993]"#), out("d"));
    assert_eq!(changed(r#""lam":77"#, r#""lam":9007199254740993"#), out("t.lam"));
    assert_eq!(changed("schedule", "Schedule"), out("k"));
    assert_eq!(changed(r#""g":"label""#, r#""g":"""#), out("g"));
    assert_eq!(changed("u:1", &"u".repeat(BY_BYTES_MAX + 1)), out("by"));
    assert_eq!(changed("moved", &"m".repeat(WHY_BYTES_MAX + 1)), out("why"));
    let dots = vec![r#"["000000000000000000000000000000bb",1,7]"#; REPLACED_MAX + 1].join(",");
    assert_eq!(changed(r#"["000000000000000000000000000000bb",1,7]"#, &dots), out("sup"));
    assert!(matches!(changed("Physics", &"x".repeat(ENTRY_BYTES_MAX)), Err(Malformed::TooLong { .. })));
}

#[test]
fn nesting_is_limited_and_brackets_in_text_do_not_count() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let value = r#"{"title":"Physics  I"}"#;

    assert!(changed(value, &nested(NESTING_MAX - 1)).is_ok());
    assert_eq!(changed(value, &nested(NESTING_MAX)), Err(Malformed::TooDeep));
    assert!(changed(value, &format!(r#""\"{}""#, "[".repeat(100))).is_ok());
}

#[test]
fn a_field_given_twice_is_refused() {
    assert!(changed(r#""by":"u:1""#, r#""by":"u:1","by":"u:2""#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Entry::parse(&bytes);
    }

    #[test]
    fn a_damaged_entry_is_refused_or_is_another_entry(
        at in 0..GOLDEN.len(), byte in any::<u8>(), cut in 0..GOLDEN.len(),
    ) {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(entry) = Entry::parse(&bytes) {
            prop_assert_eq!(entry.raw.as_ref(), bytes.as_slice());
            prop_assert_eq!(entry.hash == golden_hash(), bytes == GOLDEN.as_bytes());
        }
        prop_assert!(Entry::parse(&GOLDEN.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn what_is_written_is_read_again(lam in 0..=COUNT_MAX, seq in 1..=COUNT_MAX, by in "[a-z\"\\\\é]{0,40}") {
        let mut fields = golden_fields();
        (fields.t.lam, fields.d.seq, fields.by) = (lam, seq, by.clone());
        let entry = Entry::write(&fields).unwrap();
        prop_assert_eq!((entry.lam, entry.at.dot.seq), (lam, seq));
        prop_assert_eq!(&entry.fields.unwrap().by, &by);
    }
}

fn golden_hash() -> Hash {
    Entry::parse(GOLDEN.as_bytes()).unwrap().hash
}
