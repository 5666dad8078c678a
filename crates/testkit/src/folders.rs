//! Folders of what lives as long as the run: nobody drops a static, so the next run removes what an ended one left.

use std::{env, fs, io, path::PathBuf, process};

/// A fresh folder that belongs to this process.
pub fn run_folder(name: &str) -> io::Result<PathBuf> {
    let start = format!("tidemill-{name}-");
    for entry in fs::read_dir(env::temp_dir())?.flatten() {
        let file_name = entry.file_name();
        let owner = file_name.to_str().and_then(|file_name| file_name.strip_prefix(&start));
        if let Some(owner) = owner.filter(|owner| owner.bytes().all(|byte| byte.is_ascii_digit()))
            && !PathBuf::from("/proc").join(owner).exists()
        {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = env::temp_dir().join(format!("{start}{}", process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
