//! Collections as things: listed, made, emptied, dropped, indexed. What `tidemill reset` asks for.

use base::{Fault, Secret};
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    error::ErrorKind,
    options::IndexOptions,
};

use super::{Error, client::Connection, errors};

/// The collections of one database.
pub struct Collections {
    connection: Connection,
}

/// Command errors that say that all is as it was asked for.
const NAMESPACE_EXISTS: i32 = 48;

impl Collections {
    pub fn of(uri: Secret, database: String) -> Self {
        Self { connection: Connection::new(uri, database) }
    }

    /// In their order, those of the server itself left out.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let listed = self.connection.database().await?.list_collection_names().await;
        let mut names = listed.map_err(|error| self.fault(prefix, "listed", &error))?;
        names.retain(|name| name.starts_with(prefix) && !name.starts_with("system."));
        names.sort();
        Ok(names)
    }

    /// How many documents there are, by the collection's own count.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn count(&self, name: &str) -> Result<u64, Fault> {
        let counted = self.connection.collection(name).await?.estimated_document_count().await;
        counted.map_err(|error| self.fault(name, "counted", &error))
    }

    /// One that is there already stays as it is.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn create(&self, name: &str) -> Result<(), Fault> {
        match self.connection.database().await?.create_collection(name).await {
            Ok(()) => Ok(()),
            Err(error) if matches!(&*error.kind, ErrorKind::Command(told) if told.code == NAMESPACE_EXISTS) => {
                Ok(())
            }
            Err(error) => Err(self.fault(name, "made", &error)),
        }
    }

    /// Its indexes and options stay. Gives the number of documents that went.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn empty(&self, name: &str) -> Result<u64, Fault> {
        let deleted = self.connection.collection(name).await?.delete_many(Document::new()).await;
        Ok(deleted.map_err(|error| self.fault(name, "emptied", &error))?.deleted_count)
    }

    /// One that is not there is no error.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn drop(&self, name: &str) -> Result<(), Fault> {
        let dropped = self.connection.collection(name).await?.drop().await;
        dropped.map_err(|error| self.fault(name, "dropped", &error))
    }

    /// An index over these fields, rising; one that is the same is there already.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`: documents that a unique index forbids, another index of the name.
    pub async fn index(&self, name: &str, fields: &[String], is_unique: bool) -> Result<(), Fault> {
        let keys: Document = fields.iter().map(|field| (field.clone(), 1.into())).collect();
        let options = IndexOptions::builder().unique(is_unique.then_some(true)).build();
        let index = IndexModel::builder().keys(keys).options(options).build();
        let made = self.connection.collection(name).await?.create_index(index).await;
        made.map(|_| ()).map_err(|error| self.fault(name, "indexed", &error))
    }

    /// Whether the server answers, and takes who signs in: for `tidemill connections test`.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Change`.
    pub async fn ping(&self) -> Result<(), Fault> {
        let answer = self.connection.database().await?.run_command(doc! { "ping": 1 }).await;
        answer.map(|_| ()).map_err(|error| self.fault("", "asked", &error))
    }

    fn fault(&self, collection: &str, what: &'static str, error: &mongodb::error::Error) -> Fault {
        let collection = collection.to_owned();
        errors::first_fault(&self.connection.hosts, error, |source| Error::Change {
            collection,
            what,
            source,
        })
    }
}
