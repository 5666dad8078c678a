//! Whom a client can prove to be: the users of the settings, by their passwords, and those that AlterUserScramCredentials
//! has made, which are kept in `scram.json`.
//!
//! A user that was made wins over one of the settings of the same name: he was made later.

use std::{collections::BTreeMap, path::Path};

use base::Secret;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use parking_lot::{Mutex, RwLock};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{
    kept::Kept,
    sasl::{
        is_same,
        scram::{Credential, Hash},
    },
};
use crate::errors::Error;

const FILE_NAME: &str = "scram.json";
const VERSION: u32 = 1;

/// By name and mechanism.
type Credentials = BTreeMap<String, BTreeMap<Hash, Credential>>;

pub struct Users {
    passwords: BTreeMap<String, Secret>,
    /// Made of the passwords when the broker starts.
    of_settings: Credentials,
    made: RwLock<Credentials>,
    /// Held for the whole of a change, on a thread that may block.
    kept: Mutex<Kept>,
}

/// `{"version":1,"credentials":[{"user","mechanism","salt","iterations","stored_key","server_key"}]}`, bytes in base64.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    credentials: Vec<StoredCredential>,
}

#[derive(Serialize, Deserialize)]
struct StoredCredential {
    user: String,
    mechanism: String,
    salt: String,
    iterations: i32,
    stored_key: String,
    server_key: String,
}

impl Users {
    /// Blocks on the disk, and on some milliseconds of work for each user of the settings where SCRAM is spoken.
    pub fn open(
        data_dir: &Path,
        passwords: &BTreeMap<String, Secret>,
        with_scram: bool,
    ) -> Result<Users, Error> {
        let kept = Kept::at(data_dir, FILE_NAME);
        let stored: Option<Stored> = kept.read()?;
        let mut made = Credentials::new();
        if let Some(stored) = stored {
            if stored.version != VERSION {
                let reason = format!("its version is {}, this broker knows {VERSION}", stored.version);
                return Err(kept.unreadable(reason));
            }
            for entry in stored.credentials {
                let (user, hash, credential) =
                    entry.restored().ok_or_else(|| kept.unreadable("a credential is damaged".to_owned()))?;
                made.entry(user).or_default().insert(hash, credential);
            }
        }
        let credentials = |password: &Secret| {
            Hash::ALL.into_iter().map(|hash| (hash, Credential::from_password(hash, password))).collect()
        };
        let of_settings = match with_scram {
            true => passwords.iter().map(|(user, password)| (user.clone(), credentials(password))).collect(),
            false => Credentials::new(),
        };
        Ok(Users {
            passwords: passwords.clone(),
            of_settings,
            made: RwLock::new(made),
            kept: Mutex::new(kept),
        })
    }

    /// For PLAIN: as in Kafka it knows the users of the settings only.
    pub fn has_password(&self, user: &str, password: &str) -> bool {
        let sum = |text: &str| digest(&SHA256, text.as_bytes());
        let known = self.passwords.get(user);
        let same = is_same(sum(known.map_or("", Secret::reveal)).as_ref(), sum(password).as_ref());
        known.is_some() && same
    }

    pub fn credential(&self, user: &str, hash: Hash) -> Option<Credential> {
        let of = |all: &Credentials| all.get(user).and_then(|own| own.get(&hash)).cloned();
        of(&self.made.read()).or_else(|| of(&self.of_settings))
    }

    /// Who was made, with the mechanisms and their iterations.
    pub fn made(&self) -> BTreeMap<String, Vec<(Hash, i32)>> {
        let made = self.made.read();
        let row = |(user, own): (&String, &BTreeMap<Hash, Credential>)| {
            (user.clone(), own.iter().map(|(hash, credential)| (*hash, credential.iterations)).collect())
        };
        made.iter().map(row).collect()
    }

    /// Takes these credentials from a user and gives him those. Durable when it returns; blocks on the disk.
    pub fn alter(&self, user: &str, gone: &[Hash], made: Vec<(Hash, Credential)>) -> Result<(), Error> {
        let kept = self.kept.lock();
        let mut changed = self.made.read().clone();
        let own = changed.entry(user.to_owned()).or_default();
        own.retain(|hash, _| !gone.contains(hash));
        own.extend(made);
        if own.is_empty() {
            changed.remove(user);
        }
        let rows = changed.iter().flat_map(|(user, own)| own.iter().map(move |(hash, it)| (user, *hash, it)));
        let credentials = rows.map(|(user, hash, it)| StoredCredential::of(user, hash, it)).collect();
        kept.write(&Stored { version: VERSION, credentials })?;
        *self.made.write() = changed;
        Ok(())
    }
}

impl StoredCredential {
    fn of(user: &str, hash: Hash, credential: &Credential) -> StoredCredential {
        StoredCredential {
            user: user.to_owned(),
            mechanism: hash.mechanism().to_owned(),
            salt: BASE64.encode(&credential.salt),
            iterations: credential.iterations,
            stored_key: credential.stored_key.reveal().to_owned(),
            server_key: credential.server_key.reveal().to_owned(),
        }
    }

    fn restored(self) -> Option<(String, Hash, Credential)> {
        let hash = Hash::ALL.into_iter().find(|hash| hash.mechanism() == self.mechanism)?;
        let credential = Credential {
            salt: BASE64.decode(&self.salt).ok()?,
            iterations: self.iterations,
            stored_key: Secret::new(self.stored_key),
            server_key: Secret::new(self.server_key),
        };
        Some((self.user, hash, credential))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn open(folder: &Path) -> Users {
        Users::open(folder, &BTreeMap::from([("admin".to_owned(), Secret::new("first"))]), true).unwrap()
    }

    fn credential(password: &str) -> Credential {
        Credential::from_password(Hash::Sha256, &Secret::new(password))
    }

    #[test]
    fn who_was_made_is_read_back_and_only_the_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = credential("wonder");
        open(folder.path()).alter("alice", &[], vec![(Hash::Sha256, made.clone())]).unwrap();
        let users = open(folder.path());
        assert_eq!(users.credential("alice", Hash::Sha256), Some(made));
        assert_eq!(users.credential("alice", Hash::Sha512), None);
        assert_eq!(users.made(), BTreeMap::from([("alice".to_owned(), vec![(Hash::Sha256, 4_096)])]));
        let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        users.alter("alice", &[Hash::Sha256], vec![]).unwrap();
        assert_eq!(open(folder.path()).made(), BTreeMap::new());
    }

    #[test]
    fn who_was_made_wins_over_the_settings_but_not_with_plain() {
        let folder = tempfile::tempdir().unwrap();
        let users = open(folder.path());
        let before = users.credential("admin", Hash::Sha256).unwrap();
        users.alter("admin", &[], vec![(Hash::Sha256, credential("second"))]).unwrap();
        assert_ne!(users.credential("admin", Hash::Sha256).unwrap(), before);
        assert!(users.has_password("admin", "first") && !users.has_password("admin", "second"));
        assert!(!users.has_password("nobody", ""));
    }

    #[test]
    fn nothing_prints_a_key() {
        let shown = format!("{:?}", credential("wonder"));
        assert!(shown.contains("stored_key: ***, server_key: ***"), "{shown}");
    }

    /// The first form that was ever written: every later broker must read it.
    #[test]
    fn version_1_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"credentials":[{"user":"alice","mechanism":"SCRAM-SHA-512","salt":"AP8=","iterations":8192,"stored_key":"AAAA","server_key":"BBBB"}]}"#;
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let expected = BTreeMap::from([("alice".to_owned(), vec![(Hash::Sha512, 8_192)])]);
        assert_eq!(open(folder.path()).made(), expected);
    }
}
