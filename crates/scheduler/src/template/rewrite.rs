//! Arithmetic in templates, made into calls before minijinja reads them.
//!
//! Python adds what has an `__add__`: `logical_date - macros.timedelta(days=1)` is in every second DAG. minijinja adds numbers,
//! texts and lists alone, and joins with `~` in its own spelling of True and None. So `a - b` becomes `__minus(a, b)`, with
//! Jinja's precedence: brackets, then `*` and its like, then `~`, then `+` and `-`, then everything else.

use std::borrow::Cow;

/// What the calls are named: [`super::environment`] has the functions.
pub(super) const PLUS: &str = "__plus";
pub(super) const MINUS: &str = "__minus";
pub(super) const CONCAT: &str = "__concat";
pub(super) const PERCENT: &str = "__percent";

/// The template with its arithmetic as calls.
pub(super) fn template(source: &str) -> Cow<'_, str> {
    if !source.contains(['+', '-', '~', '%']) {
        return Cow::Borrowed(source);
    }
    let mut result = String::with_capacity(source.len() + 32);
    let mut position = 0;
    while let Some(start) = next_tag(source, position) {
        result.push_str(&source[position..start]);
        position = copy_tag(source, start, &mut result);
    }
    result.push_str(&source[position..]);
    Cow::Owned(result)
}

/// A single `{{ expression }}` and nothing else: what stands in it, with its arithmetic as calls.
pub(super) fn sole_expression(source: &str) -> Option<String> {
    let source = source.strip_suffix('\n').unwrap_or(source);
    let body = source.strip_prefix("{{")?;
    let tokens = tokens(body, "}}");
    let end = tokens.end?;
    if end + 2 != body.len() {
        return None;
    }
    let inner = body[..end].trim_start_matches(['-', '+']).trim_end_matches('-');
    Some(expression(inner))
}

fn next_tag(source: &str, from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        let start = position + source[position..].find('{')?;
        match source.as_bytes().get(start + 1) {
            Some(b'{' | b'%' | b'#') => return Some(start),
            Some(_) | None => position = start + 1,
        }
    }
}

/// Appends the tag at `start` and gives where the text after it begins.
fn copy_tag(source: &str, start: usize, result: &mut String) -> usize {
    let rest = &source[start..];
    let verbatim = |end: Option<usize>, result: &mut String| {
        let end = end.map_or(source.len(), |end| start + end);
        result.push_str(&source[start..end]);
        end
    };
    if rest.starts_with("{#") {
        return verbatim(rest.find("#}").map(|end| end + 2), result);
    }
    let close = if rest.starts_with("{{") { "}}" } else { "%}" };
    let body_start = if rest[2..].starts_with(['-', '+']) { 3 } else { 2 };
    let body = &rest[body_start..];
    let Some(end) = tokens(body, close).end else { return verbatim(None, result) };
    let inner = body[..end].strip_suffix('-').unwrap_or(&body[..end]);
    if close == "%}" && inner.trim() == "raw" {
        let end = rest.find("endraw").and_then(|end| rest[end..].find("%}").map(|close| end + close + 2));
        return verbatim(end, result);
    }
    result.push_str(&rest[..body_start]);
    // `do` takes calls only in minijinja; a variable that nobody reads takes everything.
    match inner.trim_start().strip_prefix("do ").filter(|_| close == "%}") {
        Some(done) => {
            result.push_str(" set __done = ");
            result.push_str(&expression(done));
        }
        None => result.push_str(&expression(inner)),
    }
    result.push_str(&body[inner.len()..end + 2]);
    start + body_start + end + 2
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Name,
    Open,
    Close,
    Operator,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
}

struct Tokens<'a> {
    list: Vec<Token<'a>>,
    /// Where the tag's end begins; none: it has no end.
    end: Option<usize>,
}

/// The tokens up to `close`, which counts only outside of brackets and texts.
fn tokens<'a>(source: &'a str, close: &str) -> Tokens<'a> {
    let mut list = Vec::new();
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(next) = source[position..].chars().next() {
        let rest = &source[position..];
        if !close.is_empty() && depth == 0 {
            let dashed = rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(close));
            if rest.starts_with(close) || dashed {
                return Tokens { list, end: Some(position + usize::from(dashed)) };
            }
        }
        let (kind, length) = match next {
            _ if next.is_whitespace() => {
                position += next.len_utf8();
                continue;
            }
            '\'' | '"' => (Kind::Text, text_length(rest, next)),
            '0'..='9' => (Kind::Number, number_length(rest)),
            '(' | '[' | '{' => {
                depth += 1;
                (Kind::Open, 1)
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                (Kind::Close, 1)
            }
            _ if next.is_alphanumeric() || next == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Kind::Name, end)
            }
            _ if ["**", "//", "==", "!=", "<=", ">="].iter().any(|two| rest.starts_with(two)) => {
                (Kind::Operator, 2)
            }
            _ => (Kind::Operator, next.len_utf8()),
        };
        list.push(Token { kind, text: &rest[..length], start: position });
        position += length;
    }
    Tokens { list, end: None }
}

fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `12`, `1_000`, `0x1f`, `1.5`, `1e-7`.
fn number_length(rest: &str) -> usize {
    let digits = |from: usize| {
        from + rest[from..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len() - from)
    };
    let mut end = digits(0);
    if rest[end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        end = digits(end + 1);
    }
    let is_exponent = !rest.starts_with("0x") && rest[..end].ends_with(['e', 'E']);
    let signed = rest[end..].strip_prefix(['-', '+']);
    if is_exponent && signed.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        end = digits(end + 1);
    }
    end
}

/// Words between which an arithmetic expression stands.
const KEYWORDS: [&str; 24] = [
    "and",
    "or",
    "not",
    "if",
    "else",
    "elif",
    "in",
    "for",
    "set",
    "block",
    "include",
    "import",
    "from",
    "as",
    "with",
    "do",
    "call",
    "filter",
    "macro",
    "recursive",
    "ignore",
    "missing",
    "extends",
    "autoescape",
];

fn expression(source: &str) -> String {
    let tokens = tokens(source, "").list;
    let mut result = String::with_capacity(source.len() + 16);
    let mut writer = Writer { source, position: 0, result: &mut result };
    writer.sequence(&tokens);
    let end = writer.position;
    result.push_str(&source[end..]);
    result
}

struct Writer<'a, 'b> {
    source: &'a str,
    /// What lies before it has been written.
    position: usize,
    result: &'b mut String,
}

impl<'a> Writer<'a, '_> {
    /// Arithmetic expressions and what stands between them.
    fn sequence(&mut self, tokens: &[Token<'a>]) {
        let mut start = 0;
        let mut index = 0;
        while index < tokens.len() {
            if tokens[index].kind == Kind::Open {
                index = matching(tokens, index) + 1;
                continue;
            }
            if is_boundary(tokens, index) {
                self.sum(&tokens[start..index]);
                self.copy(&tokens[index]);
                start = index + 1;
            }
            index += 1;
        }
        self.sum(&tokens[start..]);
    }

    /// Operands with `+` and `-` between them, from the left: `__minus(__plus(a, b), c)`.
    fn sum(&mut self, tokens: &[Token<'a>]) {
        let is_sum = |tokens: &[Token<'a>], index: usize| {
            matches!(tokens[index].text, "+" | "-")
                && tokens[index].kind == Kind::Operator
                && index > 0
                && is_operand_end(&tokens[index - 1])
        };
        let splits = outside(tokens, is_sum);
        if splits.is_empty() {
            return self.join(tokens);
        }
        self.space(&tokens[0]);
        for split in splits.iter().rev() {
            self.result.push_str(if tokens[*split].text == "+" { PLUS } else { MINUS });
            self.result.push('(');
        }
        let mut start = 0;
        for (number, split) in splits.iter().enumerate() {
            self.join(&tokens[start..*split]);
            if number > 0 {
                self.result.push(')');
            }
            self.result.push(',');
            self.position = tokens[*split].start + 1;
            start = split + 1;
        }
        self.join(&tokens[start..]);
        self.result.push(')');
    }

    /// Operands with `~` between them.
    fn join(&mut self, tokens: &[Token<'a>]) {
        let splits = outside(tokens, |tokens, index| tokens[index].text == "~");
        let Some(first) = tokens.first().filter(|_| !splits.is_empty()) else { return self.product(tokens) };
        self.space(first);
        self.result.push_str(CONCAT);
        self.result.push('(');
        let mut start = 0;
        for split in splits {
            self.product(&tokens[start..split]);
            self.result.push(',');
            self.position = tokens[split].start + 1;
            start = split + 1;
        }
        self.product(&tokens[start..]);
        self.result.push(')');
    }

    /// `'%s' % x` fills in a text; every other product is minijinja's.
    fn product(&mut self, tokens: &[Token<'a>]) {
        if let [format, percent, rest @ ..] = tokens
            && format.kind == Kind::Text
            && percent.text == "%"
            && outside(rest, |tokens, index| matches!(tokens[index].text, "*" | "/" | "//" | "%")).is_empty()
        {
            self.space(format);
            self.result.push_str(PERCENT);
            self.result.push('(');
            self.copy(format);
            self.result.push(',');
            self.position = percent.start + 1;
            self.plain(rest);
            self.result.push(')');
            return;
        }
        self.plain(tokens);
    }

    fn plain(&mut self, tokens: &[Token<'a>]) {
        let mut index = 0;
        while index < tokens.len() {
            self.copy(&tokens[index]);
            if tokens[index].kind == Kind::Open {
                let close = matching(tokens, index);
                self.sequence(&tokens[index + 1..close]);
                index = close;
                if let Some(close) = tokens.get(close) {
                    self.copy(close);
                }
            }
            index += 1;
        }
    }

    /// The token with the white space before it.
    fn copy(&mut self, token: &Token<'a>) {
        let end = token.start + token.text.len();
        if self.position < end {
            self.result.push_str(&self.source[self.position..end]);
            self.position = end;
        }
    }

    fn space(&mut self, before: &Token<'a>) {
        if self.position < before.start {
            self.result.push_str(&self.source[self.position..before.start]);
            self.position = before.start;
        }
    }
}

/// Indexes outside of brackets at which something holds.
fn outside<'a>(tokens: &[Token<'a>], holds: impl Fn(&[Token<'a>], usize) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if tokens[index].kind == Kind::Open {
            index = matching(tokens, index);
        } else if holds(tokens, index) {
            found.push(index);
        }
        index += 1;
    }
    found
}

/// The bracket that closes the one at `open`; the end, where none does.
fn matching(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_i32;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Text | Kind::Number | Kind::Name | Kind::Operator => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len()
}

fn is_operand_end(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Text | Kind::Number | Kind::Name | Kind::Close => true,
        Kind::Open | Kind::Operator => false,
    }
}

fn is_boundary(tokens: &[Token<'_>], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| tokens[before].text);
    match tokens[index].kind {
        Kind::Operator => {
            matches!(tokens[index].text, "," | ":" | "=" | "==" | "!=" | "<" | ">" | "<=" | ">=")
        }
        Kind::Name if before == Some(".") || before == Some("|") => false,
        // `is not none` belongs to the operand before it.
        Kind::Name => KEYWORDS.contains(&tokens[index].text) && before != Some("is"),
        Kind::Text | Kind::Number | Kind::Open | Kind::Close => false,
    }
}
