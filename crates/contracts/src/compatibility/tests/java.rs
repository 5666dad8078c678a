//! Avro's own library asked about the same pairs of schemas, which nobody chose: the same kinds at the same places.

use std::{fmt::Write, fs, path::Path};

use testkit::Seeded;

use super::*;

/// Makes two schemas that are alike but for what `twists` decides.
struct Maker {
    shape: Seeded,
    twists: Option<Seeded>,
    names_count: usize,
}

impl Maker {
    fn choose(&mut self, count: u64) -> u64 {
        let chosen = self.shape.within(0..count);
        let Some(twists) = &mut self.twists else { return chosen };
        if twists.within(0..12) == 0 { twists.within(0..count) } else { chosen }
    }

    /// `"name":"…"`, now and then in a namespace, or with an alias.
    fn named(&mut self) -> String {
        let number = self.names_count;
        self.names_count += 1;
        match self.choose(12) {
            0 => format!(r#""name":"other{number}","aliases":["n{number}"]"#),
            1 => format!(r#""name":"other{number}""#),
            2 => format!(r#""name":"n{number}","namespace":"a.b""#),
            3 => format!(r#""name":"other{number}","namespace":"a.b","aliases":["n{number}"]"#),
            4 => format!(r#""name":"other{number}","namespace":"a.b","aliases":["c.n{number}","n"]"#),
            _ => format!(r#""name":"n{number}""#),
        }
    }

    fn schema(&mut self, depth: u32) -> String {
        const PLAIN: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
        let kinds = if depth == 0 { 10 } else { 16 };
        match self.choose(kinds) {
            plain @ 0..8 => format!(r#""{}""#, PLAIN[plain as usize]),
            8 => {
                let named = self.named();
                let symbols = ["A", "B", "C"].iter().filter(|_| self.choose(3) > 0);
                let symbols: Vec<String> = symbols.map(|symbol| format!("{symbol:?}")).collect();
                let symbols = if symbols.is_empty() { r#""A""#.to_owned() } else { symbols.join(",") };
                let first = symbols.split(',').next().unwrap();
                let default =
                    if self.choose(4) == 0 { format!(r#","default":{first}"#) } else { String::new() };
                format!(r#"{{"type":"enum",{named},"symbols":[{symbols}]{default}}}"#)
            }
            9 => {
                let (named, size) = (self.named(), self.choose(3) + 1);
                format!(r#"{{"type":"fixed",{named},"size":{size}}}"#)
            }
            10 => format!(r#"{{"type":"array","items":{}}}"#, self.schema(depth - 1)),
            11 => format!(r#"{{"type":"map","values":{}}}"#, self.schema(depth - 1)),
            12 => self.union(),
            _ => self.record(depth),
        }
    }

    fn union(&mut self) -> String {
        let all = ["null", "int", "long", "double", "string", "bytes"];
        let branches = all.iter().filter(|_| self.choose(2) > 0).map(|branch| format!("{branch:?}"));
        let mut branches: Vec<String> = branches.collect();
        if branches.is_empty() || self.choose(3) == 0 {
            branches.push(self.record(0));
        }
        format!("[{}]", branches.join(","))
    }

    fn record(&mut self, depth: u32) -> String {
        let named = self.named();
        let mut fields = Vec::new();
        for name in ["f", "g", "h"] {
            if self.choose(4) == 0 {
                continue;
            }
            let field = match self.choose(6) {
                0 => format!(r#""name":"{name}","type":"int","default":7"#),
                1 => format!(r#""name":"{name}","type":["null","string"],"default":null"#),
                2 => format!(r#""name":"{name}{name}","aliases":["{name}"],"type":"string""#),
                _ if depth == 0 => format!(r#""name":"{name}","type":"string""#),
                _ => format!(r#""name":"{name}","type":{}"#, self.schema(depth - 1)),
            };
            fields.push(format!("{{{field}}}"));
        }
        format!(r#"{{"type":"record",{named},"fields":[{}]}}"#, fields.join(","))
    }
}

fn made(seed: u64, twists: Option<Seeded>) -> String {
    let mut maker = Maker { shape: Seeded::new(seed), twists, names_count: 0 };
    maker.record(3)
}

#[test]
fn avro_s_own_library_finds_the_same() {
    let Some(java) = testkit::avro_tools() else { return };
    for seed in testkit::seeds(1) {
        let count = if testkit::deep() { 100_000 } else { 4_000 };
        let pair = |number: u64| {
            let number = seed << 32 | number;
            (made(number, Some(Seeded::new(!number))), made(number, None))
        };
        let pairs: Vec<(String, String)> = (0..count).map(pair).collect();
        let mut text = String::new();
        for (reader, writer) in &pairs {
            writeln!(text, "{reader}\t{writer}").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pairs");
        fs::write(&file, text).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compatibility/tests/AvroPairs.java");
        let said = java.tool(&program.display().to_string(), &[&file.display().to_string()]).expect_success();
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.len(), pairs.len());
        let (mut fitting, mut different) = (0, Vec::new());
        for ((reader, writer), theirs) in pairs.iter().zip(said) {
            let parse = |text: &str| Document::parse(ContractKind::Avro, "test", text).unwrap();
            let found = can_read(&parse(reader), &parse(writer));
            let ours =
                found.iter().map(|one| format!("{} {}", one.kind, one.path)).collect::<Vec<_>>().join("; ");
            fitting += usize::from(ours.is_empty());
            if ours != theirs {
                different.push(format!("reader {reader}\nwriter {writer}\nours   {ours}\nJava's {theirs}\n"));
            }
        }
        eprintln!("{} pairs, {fitting} of them fit", pairs.len());
        assert!(
            different.is_empty(),
            "seed {seed}: {} differ, as\n{}",
            different.len(),
            different.iter().take(5).cloned().collect::<String>()
        );
        assert!(fitting > pairs.len() / 10 && fitting < pairs.len() * 9 / 10, "{fitting}");
    }
}
