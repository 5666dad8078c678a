//! The subject of a certificate as Kafka writes it: RFC 2253 as Java's `X500Principal.getName()` has it, last part first.
//!
//! It reads no more of a certificate than that; rustls has verified it before.

/// `CN=alice,OU=Data,O=Example`; `None` where the bytes are no certificate.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let mut outer = Der(certificate);
    let mut whole = Der(outer.take(SEQUENCE)?);
    let mut signed = Der(whole.take(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?; // serial number
    signed.take(SEQUENCE)?; // algorithm
    signed.take(SEQUENCE)?; // issuer
    signed.take(SEQUENCE)?; // validity
    let mut name = Der(signed.take(SEQUENCE)?);
    let mut parts = Vec::new();
    while !name.0.is_empty() {
        let mut set = Der(name.take(SET)?);
        let mut values = Vec::new();
        while !set.0.is_empty() {
            values.push(attribute(Der(set.take(SEQUENCE)?))?);
        }
        parts.push(values.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// The types that RFC 2253 has a word for; Java writes the others as numbers.
const WORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// What the next element holds, if it is of this kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content, _) = self.next()?;
        (found == tag).then_some(content)
    }

    /// Tag, content, and the whole element.
    fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(first) {
            short @ 0..=0x7f => (short, rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first) - 0x80)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content, &all[..all.len() - rest.len()]))
    }
}

fn attribute(mut pair: Der<'_>) -> Option<String> {
    let kind = pair.take(OBJECT_ID)?;
    let (tag, value, whole) = pair.next()?;
    let word = WORDS.iter().find(|(id, _)| *id == kind).map(|(_, word)| *word);
    match word {
        Some(word) if matches!(tag, UTF8 | PRINTABLE) => {
            Some(format!("{word}={}", escaped(&String::from_utf8_lossy(value))))
        }
        word => {
            let hex: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("{}=#{hex}", word.map_or_else(|| dotted(kind), str::to_owned)))
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let leading = text.len() - text.trim_start_matches(' ').len();
    let trailing = text.trim_end_matches(' ').len();
    for (at, character) in text.char_indices() {
        match character {
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', character]),
            ' ' if at < leading || at >= trailing => out.push_str("\\ "),
            '\0' => out.push_str("\\00"),
            _ => out.push(character),
        }
    }
    out
}

/// `1.2.840.113549.1.9.1`
fn dotted(id: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number: u64 = 0;
    for byte in id {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    if let Some(first) = numbers.first().copied() {
        let root = (first / 40).min(2);
        numbers.splice(0..1, [root, first - root * 40]);
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match content.len() {
            length @ 0..0x80 => bytes.push(length as u8),
            length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        bytes.extend(content);
        bytes
    }

    /// A certificate with this subject and nothing else that matters.
    fn certificate(subject: &[(&[u8], u8, &str)]) -> Vec<u8> {
        let name: Vec<u8> = subject
            .iter()
            .flat_map(|(id, tag, text)| {
                let pair = [element(OBJECT_ID, id), element(*tag, text.as_bytes())].concat();
                element(SET, &element(SEQUENCE, &pair))
            })
            .collect();
        let empty = || element(SEQUENCE, &[]);
        let version = element(VERSION, &element(INTEGER, &[2]));
        let signed = [version, element(INTEGER, &[1]), empty(), empty(), empty(), element(SEQUENCE, &name)];
        element(SEQUENCE, &element(SEQUENCE, &signed.concat()))
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];
    const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];

    /// The right sides are what `X500Principal.getName()` of Java 17 gives for these subjects.
    #[test]
    fn names_are_written_as_java_writes_them() {
        let check = |subject: &[(&[u8], u8, &str)], expected: &str| {
            assert_eq!(super::subject(&certificate(subject)).as_deref(), Some(expected));
        };
        check(&[(O, UTF8, "Example"), (CN, UTF8, "alice")], "CN=alice,O=Example");
        check(&[(CN, PRINTABLE, "a, b+c=d")], r"CN=a\, b\+c\=d");
        check(&[(CN, UTF8, " müller#1 ")], r"CN=\ müller\#1\ ");
        check(
            &[(CN, UTF8, "a"), (EMAIL, 0x16, "a@b.c")],
            "1.2.840.113549.1.9.1=#1605614062 2e63,CN=a".replace(' ', "").as_str(),
        );
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_subject() {
        let whole = certificate(&[(CN, UTF8, "alice")]);
        for end in 0..whole.len() {
            assert_eq!(subject(&whole[..end]), None);
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            subject(&bytes); // no panic
        }
    }
}
