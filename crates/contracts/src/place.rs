//! Where in a JSON text a value lies: from a pointer to a byte range, and from a line and column to a byte.
//!
//! The parser that keeps no positions stays fast; only an error pays for the search.

use base::Spot;

/// The bytes of the value at `pointer` (`["fields", "3", "type"]`); of the nearest one above it that is there.
pub fn locate(text: &str, pointer: &[String]) -> (usize, usize) {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let start = scan.start_of_value();
    match scan.descend(pointer) {
        Some(found) => found,
        None => (start, usize::from(start < text.len())),
    }
}

/// The byte where `line` and `column` (from 1, columns in bytes as serde_json counts them) begin.
pub fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut byte = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// A spot in `text` for the value at `pointer`.
pub fn spot(path: &str, text: &str, pointer: &[String], label: &str) -> Spot {
    let (start, length) = locate(text, pointer);
    Spot::Text { path: path.into(), text: text.into(), start, length, label: label.to_owned() }
}

/// A walk over JSON that is known to parse; anything odd just ends it.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn start_of_value(&mut self) -> usize {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at
    }

    fn descend(&mut self, pointer: &[String]) -> Option<(usize, usize)> {
        let start = self.start_of_value();
        let Some((step, rest)) = pointer.split_first() else {
            self.skip_value()?;
            return Some((start, self.at - start));
        };
        match self.bytes.get(self.at)? {
            b'{' => self.find_member(step).then(|| self.descend(rest)).flatten(),
            b'[' => self.find_item(step.parse().ok()?).then(|| self.descend(rest)).flatten(),
            _ => None,
        }
        .or_else(|| {
            // What the pointer names is not there: the value that should have held it is the place.
            self.at = start;
            self.skip_value()?;
            Some((start, self.at - start))
        })
    }

    /// Stands before the member's value if there is one.
    fn find_member(&mut self, name: &str) -> bool {
        self.at += 1;
        loop {
            self.start_of_value();
            let Some((start, end)) = self.string() else { return false };
            let raw = std::str::from_utf8(&self.bytes[start..end]).unwrap_or("");
            let same = raw == name
                || (raw.contains('\\')
                    && serde_json::from_str(&format!("\"{raw}\"")).ok() == Some(name.to_owned()));
            self.start_of_value();
            if self.bytes.get(self.at) != Some(&b':') {
                return false;
            }
            self.at += 1;
            if same {
                return true;
            }
            if self.skip_value().is_none() || !self.next_item() {
                return false;
            }
        }
    }

    fn find_item(&mut self, index: usize) -> bool {
        self.at += 1;
        for _ in 0..index {
            if self.skip_value().is_none() || !self.next_item() {
                return false;
            }
        }
        self.start_of_value();
        self.bytes.get(self.at) != Some(&b']')
    }

    fn next_item(&mut self) -> bool {
        self.start_of_value();
        let more = self.bytes.get(self.at) == Some(&b',');
        self.at += usize::from(more);
        more
    }

    /// The bounds of the text between the quotes.
    fn string(&mut self) -> Option<(usize, usize)> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some((start, self.at - 1))
    }

    fn skip_value(&mut self) -> Option<()> {
        self.start_of_value();
        let mut depth = 0usize;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth > 0 => self.at += 1,
                _ => {
                    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                    let rest = &self.bytes[self.at..];
                    self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pointer: &[&str], expected: &str) {
        let pointer: Vec<String> = pointer.iter().map(|step| (*step).to_owned()).collect();
        let (start, length) = locate(text, &pointer);
        assert_eq!(&text[start..start + length], expected, "{pointer:?}");
    }

    #[test]
    fn values_are_found_by_their_pointer() {
        let text = "{\n \"a\\u0062\": [1, {\"b\": \"x,]}\"}, true ], \"c\" : -2.5e3 }";
        check(text, &["ab", "0"], "1");
        check(text, &["ab", "1", "b"], "\"x,]}\"");
        check(text, &["ab", "2"], "true");
        check(text, &["c"], "-2.5e3");
        check(text, &["ab", "1", "nothing"], "{\"b\": \"x,]}\"}");
        check(" [ ] ", &["0"], "[ ]");
        check("", &["x"], "");
        check("7", &[], "7");
    }

    #[test]
    fn lines_and_columns_become_bytes() {
        assert_eq!(byte_of("ab\ncde\nf", 2, 3), 5);
        assert_eq!(byte_of("é", 1, 2), 0);
        assert_eq!(byte_of("ab", 9, 9), 2);
    }
}
