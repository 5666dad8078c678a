//! Keys as paths below a bucket's folder, and back.
//!
//! A key's parts are folders and a file, so that people find their objects with ordinary tools. Only what a file system
//! cannot hold is written otherwise: an empty part as `%`, `.` and `..` as `%2E` and `%2E%2E`, and `%` itself as `%25`.

use std::path::PathBuf;

use s3s::{S3Result, s3_error};

/// What file systems take for one name.
const PART_BYTES_MAX: usize = 255;
/// What S3 takes for a key.
const KEY_BYTES_MAX: usize = 1_024;

/// The path of a key, relative to its bucket.
pub(crate) fn path_of(key: &str) -> S3Result<PathBuf> {
    if key.is_empty() || key.contains('\0') {
        return Err(s3_error!(InvalidArgument, "a key is 1 to 1024 bytes, without a zero byte"));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(s3_error!(KeyTooLongError));
    }
    let mut path = PathBuf::new();
    for part in key.split('/') {
        let name = name_of(part);
        if name.len() > PART_BYTES_MAX {
            return Err(s3_error!(
                KeyTooLongError,
                "a part of a key between slashes is at most 255 bytes here"
            ));
        }
        path.push(name);
    }
    Ok(path)
}

fn name_of(part: &str) -> String {
    match part {
        "" => "%".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => part.replace('%', "%25"),
    }
}

/// The part of a key that a file or folder of this name stands for.
pub(crate) fn part_of(name: &str) -> String {
    match name {
        "%" => String::new(),
        "%2E" => ".".to_owned(),
        "%2E%2E" => "..".to_owned(),
        _ => name.replace("%25", "%"),
    }
}

/// `encoding-type=url` of the listings: everything but letters, digits, `-._~/` as `%XX`.
pub(crate) fn url_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back_from_its_path_and_stays_below_its_bucket() {
        for key in [
            "a",
            "a/b.json",
            "a//b",
            "/a",
            "a/",
            "../../etc/passwd",
            "./x",
            "100%/%25",
            "%",
            "ü/ß",
            "a/%2E/b",
        ] {
            let path = path_of(key).unwrap();
            let parts: Vec<String> = path.iter().map(|name| part_of(name.to_str().unwrap())).collect();
            assert_eq!(parts.join("/"), key);
            assert!(path.is_relative() && path.iter().all(|name| name != ".." && name != "."), "{key}");
        }
        assert!(
            path_of("").is_err() && path_of(&"x".repeat(300)).is_err() && path_of(&"x/".repeat(600)).is_err()
        );
    }

    #[test]
    fn urls_keep_slashes() {
        assert_eq!(url_encoded("a b/ü+%"), "a%20b/%C3%BC%2B%25");
    }
}
