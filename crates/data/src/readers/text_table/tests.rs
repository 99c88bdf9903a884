use std::fs;

use tempfile::TempDir;

use super::*;
use crate::open;

/// Reads a table with this name and content.
fn read_with(name: &str, content: &[u8], columns: ColumnNames) -> Result<Dataset> {
    let root = TempDir::new().unwrap();
    let path = root.path().join(name);
    fs::write(&path, content).unwrap();
    open(&path, &ReadOptions { columns, ..ReadOptions::default() })
}

fn read(name: &str, content: &str) -> Dataset {
    read_with(name, content.as_bytes(), ColumnNames::default()).unwrap()
}

/// `text|pair` of every sample.
fn texts(data: &Dataset) -> Vec<String> {
    let text = |sample: &Sample| match &sample.input {
        Input::Text(Text { text, pair: None }) => text.to_string(),
        Input::Text(Text { text, pair: Some(pair) }) => format!("{text}|{pair}"),
        other => panic!("not a text: {other:?}"),
    };
    data.samples.iter().map(text).collect()
}

fn labels_of(data: &Dataset) -> Vec<&str> {
    let name = |s: &Sample| s.label.map_or("-", |l| data.classes[l as usize].as_str());
    data.samples.iter().map(name).collect()
}

#[test]
fn columns_are_known_by_their_names_and_told() {
    let data = read(
        "reviews.csv",
        "id,Review,Sentiment,split,domain,author\n\
         1,\"two\nlines, \"\"quoted\"\"\",good,train,books,ann\n2,bad,NaN,test,,\n",
    );
    assert_eq!(texts(&data), ["two\nlines, \"quoted\"", "bad"]);
    assert_eq!(labels_of(&data), ["good", "-"]);
    assert_eq!(data.samples[0].id, "reviews.csv:2");
    assert_eq!(data.samples[1].id, "reviews.csv:4");
    assert_eq!(data.samples[0].split, Some(Split::Train));
    assert_eq!(data.samples[0].domain.as_deref(), Some("books"));
    assert_eq!(data.samples[0].group.as_deref(), Some("ann"));
    assert_eq!(
        data.notes,
        ["columns: text from `Review`, label from `Sentiment`, split from `split`, domain from \
          `domain`, group from `author`; not used: `id`"]
    );
}

#[test]
fn columns_are_known_by_their_content() {
    let rows: String = (0..40)
        .map(|i| format!("{i},{},some words about thing {i},{}.5\n", ["yes", "no"][i % 2], i))
        .collect();
    let data = read("d.csv", &format!("nr,kind,words,value\n{rows}"));
    assert_eq!(texts(&data)[3], "some words about thing 3");
    assert_eq!(data.classes, ["no", "yes"]);
    // Without names, the first row is data.
    let data = read("d.tsv", &rows.replace(',', "\t"));
    assert_eq!((data.samples.len(), data.classes.len()), (40, 2));
    assert!(data.notes[0].starts_with("columns: text from `column 3`, label from `column 2`"));
    // Two columns that could both be the label: the user must say which.
    let rows: String = (0..40).map(|i| format!("a b c {i},{},{}\n", i % 2, i % 3)).collect();
    let data = read("d.csv", &format!("words,u,v\n{rows}"));
    assert!(data.classes.is_empty());
    assert!(data.notes[1].contains("`u`, `v` could be it: name one"), "{:?}", data.notes);
}

#[test]
fn columns_that_are_named_are_taken() {
    let columns = ColumnNames {
        text: Some("b".into()),
        pair: Some("text".into()),
        label: Some("C".into()),
        ..ColumnNames::default()
    };
    let content = b"path,text,b,c\nx,1,2,u\ny,3,4,v\n";
    let data = read_with("d.csv", content, columns).unwrap();
    assert_eq!(texts(&data), ["2|1", "4|3"]);
    assert_eq!(labels_of(&data), ["u", "v"]);
    let missing = ColumnNames { label: Some("class".into()), ..ColumnNames::default() };
    let message = read_with("d.csv", b"text,b\nx,1\n", missing).unwrap_err().to_string();
    assert!(
        message.contains("no column `class` for the label; there are `text`, `b`"),
        "{message}"
    );
}

#[test]
fn a_mistyped_split_is_named_and_its_column_not_left_out() {
    for name in ["split", "Subset", "fold"] {
        let csv = |last: &str| format!("text,{name}\na,train\nb,test\nc,\nd,{last}\n");
        let json = |last: &str| {
            let row = |split: &str| format!("{{\"text\":\"a\",\"{name}\":\"{split}\"}}\n");
            ["train", "test", "", last].map(row).concat()
        };
        for (file, content, row) in
            [("d.csv", &csv as &dyn Fn(&str) -> String, 5), ("d.jsonl", &json, 4)]
        {
            let splits: Vec<_> =
                read(file, &content("dev")).samples.iter().map(|s| s.split).collect();
            assert_eq!(splits, [Some(Split::Train), Some(Split::Test), None, Some(Split::Val)]);
            let wrong = read_with(file, content("tset").as_bytes(), ColumnNames::default());
            let message = wrong.unwrap_err().to_string();
            let expected = format!("{file}:{row}: expected split train, val or test, found `tset`");
            assert!(message.contains(&expected), "{message}");
        }
        // Words of another kind are no splits.
        let data = read("d.csv", &format!("text,{name}\na,train\nb,1\nc,2\n"));
        assert!(data.samples.iter().all(|s| s.split.is_none()));
        assert!(data.notes[0].ends_with(&format!("not used: `{name}`")), "{:?}", data.notes);
    }
    // Of two columns, the one that holds splits.
    let data = read("d.csv", "text,split,fold\na,1,train\nb,2,test\n");
    assert_eq!(data.samples[1].split, Some(Split::Test));
}

#[test]
fn a_column_is_named_for_one_role() {
    let content = b"text,body,label,split,user\na b,c d,x,train,u\ne f,g h,y,test,v\n";
    let roles = ["text", "pair", "label", "split", "domain", "group"];
    let named = |roles: [&str; 2], column: &str| {
        let mut columns = ColumnNames::default();
        for role in roles {
            let name = Some(column.to_owned());
            match role {
                "text" => columns.text = name,
                "pair" => columns.pair = name,
                "label" => columns.label = name,
                "split" => columns.split = name,
                "domain" => columns.domain = name,
                _ => columns.group = name,
            }
        }
        read_with("d.csv", content, columns)
    };
    for (i, second) in roles.into_iter().enumerate() {
        for &first in &roles[..i] {
            if (first, second) == ("domain", "group") {
                let data = named([first, second], "user").unwrap();
                assert_eq!(data.samples[1].domain.as_deref(), Some("v"));
                assert_eq!(data.samples[1].group.as_deref(), Some("v"));
                continue;
            }
            let message = named([first, second], "Label").unwrap_err().to_string();
            let expected = format!(
                "d.csv:1: column `label` is named for the {first} (--{first}-column) and for the \
                 {second} (--{second}-column)"
            );
            assert!(message.contains(&expected), "{message}");
        }
    }
    // What is named is not guessed for another role.
    let notes = |roles: [&str; 2], column: &str| named(roles, column).unwrap().notes[0].clone();
    assert!(notes(["pair"; 2], "text").starts_with("columns: text from `body`, pair from `text`"));
    assert!(
        notes(["label"; 2], "text").starts_with("columns: text from `body`, label from `text`")
    );
    assert!(notes(["domain"; 2], "text").contains("text from `body`"));
    assert!(notes(["label"; 2], "user").ends_with("split from `split`; not used: `body`, `label`"));
    assert!(notes(["label"; 2], "split").contains("label from `split`, group from `user`;"));
    assert!(notes(["domain"; 2], "user").contains("domain from `user`, group from `user`;"));
}

#[test]
fn pairs_are_known_by_their_names() {
    let data = read("nli.jsonl", "{\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":1}\n");
    assert_eq!(texts(&data), ["a|b"]);
    assert_eq!(labels_of(&data), ["1"]);
}

#[test]
fn json_lines_have_fields_in_any_order() {
    let data = read(
        "d.jsonl",
        "{\"text\":\"a\",\"label\":true}\n\n{\"label\":null,\"tags\":[1],\"text\":\"b\"}\n",
    );
    assert_eq!(texts(&data), ["a", "b"]);
    assert_eq!(labels_of(&data), ["true", "-"]);
    assert_eq!(data.samples[1].id, "d.jsonl:3");
}

#[test]
fn tabs_are_read_with_and_without_quotes() {
    let quoted = read("d.tsv", "text\tlabel\n\"a\tb\nc\nd\"\tu\n\"d \"\"e\"\"\"\tv\n");
    assert_eq!(texts(&quoted), ["a\tb\nc\nd", "d \"e\""]);
    let plain = read("d.tsv", "text\tlabel\n\"so he said\tu\nand 5\" wide\tv\n");
    assert_eq!(texts(&plain), ["\"so he said", "and 5\" wide"]);
}

#[test]
fn tables_of_orange_have_three_header_rows() {
    let data = read(
        "news-train.tab",
        "Category\tText\nd\tstring\nclass\t\nearn\tsome profit\nacq\tsome company\n",
    );
    assert_eq!(texts(&data), ["some profit", "some company"]);
    assert_eq!(labels_of(&data), ["earn", "acq"]);
}

#[test]
fn every_encoding_is_read_and_an_old_one_told() {
    let text = "text,label\ncafé,a\n";
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let windows: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    for bytes in [text.as_bytes(), &[b"\xef\xbb\xbf", text.as_bytes()].concat(), &utf16, &windows] {
        let data = read_with("d.csv", bytes, ColumnNames::default()).unwrap();
        assert_eq!(texts(&data), ["café"]);
        assert_eq!(data.notes.iter().any(|n| n.contains("Windows-1252")), *bytes == windows);
    }
}

#[test]
fn a_field_of_ten_megabytes_is_read() {
    let long = "word ".repeat(2 << 20);
    let data = read("d.csv", &format!("text,label\n\"{long}\",a\nshort,b\n"));
    assert_eq!(texts(&data)[0].len(), 10 << 20);
}

#[test]
fn what_is_wrong_is_named_by_row_and_byte() {
    for (name, content, expected) in [
        ("d.csv", &b"text,label\na,b\nc\n"[..], "d.csv:3: byte 15: expected 2 fields"),
        ("d.csv", b"text,label\na,b\nc,d,e\n", "d.csv:3: byte 15: expected 2 fields"),
        ("d.csv", b"text,label\na,\"b\nc,d\n", "d.csv:2: byte 13: a quoted field begins here"),
        ("d.csv", b"text,label\na,b\0\n", "byte 14 is NUL (row 2)"),
        ("d.csv", b"text,label,split\na,b,sometimes\n", "no column"),
        (
            "d.jsonl",
            b"{\"text\":\"a\"}\n{\"text\":\n",
            "d.jsonl:2: byte 20: expected a JSON object",
        ),
        ("d.jsonl", b"[1,2]\n", "d.jsonl:1: byte 0: expected a JSON object"),
        ("d.csv", b"nr,kind\n1,2\n", "d.csv:1: expected a column `path` of pictures or one of"),
        ("d.csv", b"", "found "),
    ] {
        let mut columns = ColumnNames::default();
        if content.ends_with(b"sometimes\n") {
            columns.split = Some("parts".into());
        }
        let message = read_with(name, content, columns).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let columns = ColumnNames { split: Some("part".into()), ..ColumnNames::default() };
    let message = read_with("d.csv", b"text,part\na,train\nb,later\n", columns).unwrap_err();
    assert!(message.to_string().contains("d.csv:3: expected split"), "{message}");
}

#[test]
fn a_list_of_pictures_stays_one() {
    let data = read("d.csv", "path,text,label\na.png,words,b\n");
    assert!(matches!(data.samples[0].input, Input::File(_)));
}
