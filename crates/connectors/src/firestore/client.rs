//! The gRPC client: one connection, a token and the routing headers for each call.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use base::{BoxError, Fault};
use cloud::gcp::Identity;
use futures::TryStreamExt;
use googleapis_tonic_google_firestore_v1::google::firestore::v1::{
    self as pb, batch_get_documents_response, firestore_client::FirestoreClient, partition_query_request,
    run_query_request,
};
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{Connection, Error};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A write or a list of partitions that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A document has at most 1 MiB; its field names may double that on the wire.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// What may be on its way to us before it is asked for, in one stream and in all of them.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// The emulator takes this for its owner, whom no rule stops.
const OWNER: &str = "Bearer owner";

#[derive(Clone)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    /// `projects/p/databases/d`
    database: String,
    endpoint: Endpoint,
    /// Made at the first call: it belongs to the runtime that makes it.
    grpc: OnceLock<FirestoreClient<Channel>>,
}

impl Client {
    /// Sets it up; asks nothing of the network.
    pub(super) fn new(connection: &Connection) -> Result<Self, Error> {
        cloud::http::install_tls();
        let refuse = |error: tonic::transport::Error| Error::setting("endpoint", error.to_string());
        let mut endpoint = Endpoint::from_shared(connection.endpoint.clone())
            .map_err(refuse)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if connection.endpoint.starts_with("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(refuse)?;
        }
        let database = format!("projects/{}/databases/{}", connection.project, connection.database);
        let shared = Shared { connection: connection.clone(), database, endpoint, grpc: OnceLock::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// `projects/p/databases/d/documents`
    pub(super) fn root(&self) -> String {
        format!("{}/documents", self.shared.database)
    }

    pub(super) fn error(&self, status: &Status, collection: &str) -> Error {
        Error::of_status(status, &self.shared.connection.endpoint, &self.shared.database, collection)
    }

    fn grpc(&self) -> FirestoreClient<Channel> {
        let made = || {
            FirestoreClient::new(self.shared.endpoint.connect_lazy())
                .max_decoding_message_size(ANSWER_BYTES_MAX)
        };
        self.shared.grpc.get_or_init(made).clone()
    }

    async fn request<T>(&self, message: T) -> Result<Request<T>, Fault> {
        let mut request = Request::new(message);
        let database = &self.shared.database;
        let mut headers = vec![
            ("google-cloud-resource-prefix", database.clone()),
            ("x-goog-request-params", format!("database={}", database.replace('/', "%2F"))),
        ];
        let token = match &self.shared.connection.identity {
            None => OWNER.to_owned(),
            Some(identity) => {
                let project = identity.quota_project().map(str::to_owned);
                headers.extend(project.map(|project| ("x-goog-user-project", project)));
                bearer(identity).await?
            }
        };
        headers.push(("authorization", token));
        for (name, text) in headers {
            let value: MetadataValue<Ascii> =
                text.parse().map_err(|_| Error::setting(name, "it cannot stand in a header"))?;
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }

    /// Documents in the query's order, as they come.
    pub(super) async fn run_query(
        &self,
        parent: String,
        query: pb::StructuredQuery,
        collection: &str,
    ) -> Result<Streaming<pb::RunQueryResponse>, Fault> {
        let query_type = Some(run_query_request::QueryType::StructuredQuery(query));
        let request = pb::RunQueryRequest { parent, query_type, ..Default::default() };
        let answer = self.grpc().run_query(self.request(request).await?).await;
        Ok(answer.map_err(|status| self.error(&status, collection))?.into_inner())
    }

    /// Names of documents between which the query falls into parts, in no order; `Err(status)` of the store.
    pub(super) async fn partitions(
        &self,
        query: pb::StructuredQuery,
        points_count: i64,
    ) -> Result<Result<Vec<String>, Status>, Fault> {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let query_type = Some(partition_query_request::QueryType::StructuredQuery(query.clone()));
            let mut request = self
                .request(pb::PartitionQueryRequest {
                    parent: self.root(),
                    partition_count: points_count,
                    page_token,
                    query_type,
                    ..Default::default()
                })
                .await?;
            request.set_timeout(CALL_TIMEOUT);
            let answer = match self.grpc().partition_query(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return Ok(Err(status)),
            };
            let values = answer.partitions.into_iter().flat_map(|cursor| cursor.values);
            names.extend(values.filter_map(|value| match value.value_type {
                Some(pb::value::ValueType::ReferenceValue(name)) => Some(name),
                _ => None,
            }));
            if answer.next_page_token.is_empty() {
                return Ok(Ok(names));
            }
            page_token = answer.next_page_token;
        }
    }

    /// The documents of these names that are there.
    pub(super) async fn documents(
        &self,
        documents: Vec<String>,
        collection: &str,
    ) -> Result<Vec<pb::Document>, Fault> {
        let database = self.shared.database.clone();
        let request = pb::BatchGetDocumentsRequest { database, documents, ..Default::default() };
        let refuse = |status: Status| Fault::from(self.error(&status, collection));
        let answer = self.grpc().batch_get_documents(self.request(request).await?).await.map_err(refuse)?;
        let found = answer.into_inner().map_err(refuse).try_filter_map(|answer| async move {
            Ok(match answer.result {
                Some(batch_get_documents_response::Result::Found(document)) => Some(document),
                Some(batch_get_documents_response::Result::Missing(_)) | None => None,
            })
        });
        found.try_collect().await
    }

    /// Writes that stand or fall each for itself.
    pub(super) async fn batch_write(
        &self,
        writes: Vec<pb::Write>,
    ) -> Result<Result<pb::BatchWriteResponse, Status>, Fault> {
        let database = self.shared.database.clone();
        let mut request =
            self.request(pb::BatchWriteRequest { database, writes, labels: Default::default() }).await?;
        request.set_timeout(CALL_TIMEOUT);
        Ok(self.grpc().batch_write(request).await.map(tonic::Response::into_inner))
    }
}

/// The ids of the database's collections that begin so, in their order.
///
/// # Errors
/// Firestore's, when it refuses or does not answer.
pub async fn collections(connection: &Connection, prefix: &str) -> Result<Vec<String>, BoxError> {
    let client = Client::new(connection)?;
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListCollectionIdsRequest { parent: client.root(), page_token, ..Default::default() };
        let mut request = client.request(request).await.map_err(Fault::into_inner)?;
        request.set_timeout(CALL_TIMEOUT);
        let answer = client.grpc().list_collection_ids(request).await;
        let answer = answer.map_err(|status| client.error(&status, prefix))?.into_inner();
        ids.extend(answer.collection_ids.into_iter().filter(|id| id.starts_with(prefix)));
        if answer.next_page_token.is_empty() {
            ids.sort();
            return Ok(ids);
        }
        page_token = answer.next_page_token;
    }
}

async fn bearer(identity: &Identity) -> Result<String, Fault> {
    let token = identity.token().await.map_err(cloud::Error::into_fault)?;
    Ok(format!("Bearer {}", token.reveal()))
}

/// Empties a collection, with all that lies below its documents; says how many documents there were.
///
/// # Errors
/// Firestore's, when it refuses or does not answer.
pub async fn empty(connection: &Connection, collection: &str) -> Result<u64, BoxError> {
    super::config::check_collection(collection)?;
    let client = Client::new(connection)?;
    super::sink::delete_all(&client, collection).await.map_err(Fault::into_inner)
}
