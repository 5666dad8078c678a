//! Files in `.tidemill/`: written whole or not at all, and readable by their owner alone where they hold a secret.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use base::Secret;

use crate::Error;

/// Writes beside it, syncs, renames: a reader sees the old content or the new, never half.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), Error> {
    write(path, content, 0o644)
}

/// The same, readable by its owner alone.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    write(path, content, 0o600)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let written = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let mut file = options.open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|source| {
        fs::remove_file(&beside).ok();
        Error::State { path: path.to_path_buf(), source }
    })
}

/// 32 bytes of the operating system's randomness as hexadecimal digits.
pub(crate) fn random_hex() -> io::Result<Secret> {
    let mut bytes = [0u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
