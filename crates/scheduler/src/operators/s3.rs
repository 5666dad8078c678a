//! S3KeySensor: whether objects are there, in the project's own S3, in the store that the connection names, or in AWS.

use base::Secret;
use cloud::{
    aws::Identity,
    store::{Credentials, S3Config},
};
use futures::TryStreamExt;
use serde_json::Value;

use super::sensors::{glob, texts};
use crate::{
    executor::{Attempt, Failure},
    template::{Connection, Lookup},
};

pub fn poke(attempt: &mut Attempt) -> Result<bool, Failure> {
    let keys = texts(attempt, "bucket_key").unwrap_or_default();
    let bucket = attempt.text("bucket_name");
    let wildcard = attempt.flag("wildcard_match", false);
    for key in keys {
        let (bucket, key) = match (key.strip_prefix("s3://").and_then(|rest| rest.split_once('/')), &bucket) {
            (Some((bucket, key)), _) => (bucket.to_owned(), key.to_owned()),
            (None, Some(bucket)) => (bucket.clone(), key),
            (None, None) => return Err(Failure::for_good("bucket_name is missing")),
        };
        attempt.say("info", &format!("Poking for key : s3://{bucket}/{key}"));
        if !is_there(attempt, bucket, &key, wildcard)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_there(attempt: &Attempt, bucket: String, key: &str, wildcard: bool) -> Result<bool, Failure> {
    let id = attempt.text("aws_conn_id").unwrap_or_else(|| "aws_default".to_owned());
    let connection = attempt.lookup.connection(&id);
    let failed = |error: object_store::Error| Failure::new(error.to_string());
    attempt.runtime.block_on(async {
        let config = config(attempt, connection.as_ref(), bucket).await?;
        let bucket = cloud::store::s3(&config).map_err(|error| Failure::new(error.to_string()))?;
        if !wildcard {
            let path = object_store::path::Path::from(key);
            return match object_store::ObjectStoreExt::head(&bucket.store, &path).await {
                Ok(_found) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(failed(error)),
            };
        }
        let pattern = glob(key).ok_or_else(|| Failure::for_good("bucket_key is not a pattern"))?;
        let fixed = key.split(['*', '?', '[']).next().unwrap_or_default();
        let folder = fixed.rsplit_once('/').map(|(folder, _)| object_store::path::Path::from(folder));
        let listed = object_store::ObjectStore::list(&bucket.store, folder.as_ref());
        let named = listed.try_any(|object| std::future::ready(pattern.is_match(object.location.as_ref())));
        named.await.map_err(failed)
    })
}

/// From the connection in Airflow's words; without one, the project's own S3 where it runs; else the chain of the AWS SDK.
async fn config(
    attempt: &Attempt,
    connection: Option<&Connection>,
    bucket: String,
) -> Result<S3Config, Failure> {
    if let (None, Some(own)) = (connection, &attempt.shared.options.own_store) {
        let credentials = Credentials::Keys {
            access_key: own.access_key.clone(),
            secret_key: own.secret_key.clone(),
            session_token: None,
        };
        return Ok(S3Config {
            bucket,
            region: None,
            endpoint: Some(own.endpoint.clone()),
            path_style: true,
            credentials,
        });
    }
    let extra = connection.and_then(|it| serde_json::from_str::<Value>(it.extra.as_ref()?.reveal()).ok());
    let extra = |name: &str| extra.as_ref().and_then(|it| it.get(name)?.as_str().map(str::to_owned));
    let keys = connection.and_then(|it| Some((it.login.clone()?, it.password.clone()?)));
    let credentials = match keys {
        Some((access_key, secret_key)) => Credentials::Keys {
            access_key,
            secret_key,
            session_token: extra("aws_session_token").map(Secret::new),
        },
        None => Credentials::Identity(Identity::load(extra("profile_name").as_deref()).await),
    };
    let endpoint = extra("endpoint_url");
    Ok(S3Config {
        bucket,
        region: extra("region_name"),
        path_style: endpoint.is_some(),
        endpoint,
        credentials,
    })
}
