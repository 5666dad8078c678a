//! `meta.properties`: the id of this one-node cluster, made once and kept with the data, in Kafka's KRaft form.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{errors::Error, topics::catalog::replace};

/// This node, its own controller.
pub const NODE_ID: i32 = 1;
/// Nothing ever takes leadership from it.
pub const LEADER_EPOCH: i32 = 0;
const FILE_NAME: &str = "meta.properties";

/// The cluster's id, read or made. Blocks on the disk.
pub fn cluster_id(data_dir: &Path) -> Result<String, Error> {
    let path = data_dir.join(FILE_NAME);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="));
            let missing =
                || Error::Unreadable { path: path.clone(), reason: "it has no cluster.id".to_owned() };
            Ok(id.filter(|id| !id.is_empty()).ok_or_else(missing)?.to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = id_text(Uuid::new_v4().as_bytes());
            let text = format!("version=1\ncluster.id={id}\nnode.id={NODE_ID}\n");
            let disk = |source| Error::Disk { action: "write", path: path.clone(), source };
            replace(&path, text.as_bytes()).map_err(disk)?;
            Ok(id)
        }
        Err(source) => Err(Error::Disk { action: "read", path, source }),
    }
}

/// 22 characters of base64 for URLs, as Kafka writes its ids.
fn id_text(bytes: &[u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = cluster_id(folder.path()).unwrap();
        assert_eq!((first.len(), cluster_id(folder.path()).unwrap()), (22, first));
    }

    #[test]
    fn ids_are_written_as_kafkas() {
        // org.apache.kafka.common.Uuid(0, 1) and (-1, -1)
        assert_eq!(id_text(&1u128.to_be_bytes()), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(id_text(&[0xff; 16]), "_____________________w");
    }
}
