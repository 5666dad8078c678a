//! What our HTTP APIs of Confluent's have in common on the side that answers: what is refused before a request is looked at, and the
//! media type that is chosen.

/// What has no place among the addresses, in the words of Confluent's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("HTTP 404 Not Found")]
    Page,
    #[error("HTTP 405 Method Not Allowed")]
    Method,
    #[error("HTTP 406 Not Acceptable")]
    Accept,
    #[error("HTTP 415 Unsupported Media Type")]
    MediaType,
}

impl Refused {
    /// The status, which is the `error_code` as well.
    pub fn status(self) -> u16 {
        match self {
            Refused::Page => 404,
            Refused::Method => 405,
            Refused::Accept => 406,
            Refused::MediaType => 415,
        }
    }
}

/// The best of `offered` by an Accept header, `a/b;q=0.5, */*`; the first of equals.
pub fn accepted<'a>(header: Option<&str>, offered: &[&'a str]) -> Option<&'a str> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return offered.first().copied();
    };
    let mut best: Option<(f32, &'a str)> = None;
    for range in header.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let found = match name {
            "*/*" | "application/*" => offered.first().copied(),
            name => offered.iter().find(|known| known.eq_ignore_ascii_case(name)).copied(),
        };
        if let Some(found) = found.filter(|_| weight > 0.0 && best.is_none_or(|(known, _)| weight > known)) {
            best = Some((weight, found));
        }
    }
    best.map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_the_one_asked_for() {
        const OFFERED: [&str; 3] =
            ["application/vnd.kafka.v2+json", "application/vnd.kafka.avro.v2+json", "application/json"];
        for (header, expected) in [
            (None, Some(OFFERED[0])),
            (Some("*/*"), Some(OFFERED[0])),
            (Some("application/vnd.kafka.avro.v2+json"), Some(OFFERED[1])),
            (Some("text/html, application/json;q=0.9, */*;q=0.8"), Some(OFFERED[2])),
            (Some("application/vnd.kafka.v2+json, application/json; q=0.9"), Some(OFFERED[0])),
            (Some("application/json; q=0"), None),
            (Some("text/html"), None),
        ] {
            assert_eq!(accepted(header, &OFFERED), expected, "{header:?}");
        }
    }
}
