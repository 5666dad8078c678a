//! Connections in the words of the stores' connectors: where a MongoDB, an AWS account or a Google project is, and as whom.
//!
//! The extras are those that Airflow's providers of these stores read.

use base::Secret;
use cloud::{
    aws, gcp,
    store::{self, Bucket, Credentials, GcsConfig, S3Config},
};
use connectors::Settings;
use project::Connection;

use crate::context::{Context, Failure};

fn quoted(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A `mongo` connection as MongoDB's own address. The extra's entries are options of the address, but for Airflow's own:
/// `srv` looks hosts up, `ssl` is `tls`.
pub fn mongodb_uri(connection: &Connection) -> Secret {
    let is = |name: &str| connection.extra_text(name).is_some_and(|text| text == "true");
    let scheme = if is("srv") { "mongodb+srv" } else { "mongodb" };
    let mut uri = format!("{scheme}://");
    if let Some(login) = connection.login() {
        uri += &quoted(login);
        if let Some(password) = connection.password() {
            uri += &format!(":{}", quoted(password.reveal()));
        }
        uri.push('@');
    }
    uri += connection.host().unwrap_or("localhost");
    if let Some(port) = connection.port().filter(|_| !is("srv")) {
        uri += &format!(":{port}");
    }
    uri.push('/');
    uri += &connection.schema().map(quoted).unwrap_or_default();
    let mut options = Vec::new();
    for name in connection.extra_names() {
        let Some(value) = connection.extra_text(&name) else { continue };
        match name.as_str() {
            "srv" => {}
            "ssl" => options.push(format!("tls={}", quoted(&value))),
            "allow_insecure" => options.push(format!("tlsAllowInvalidCertificates={}", quoted(&value))),
            _ => options.push(format!("{name}={}", quoted(&value))),
        }
    }
    if !options.is_empty() {
        uri += &format!("?{}", options.join("&"));
    }
    Secret::new(uri)
}

/// A `kafka` connection: its extra is the settings of a client, by Kafka's own names; without one, host and port.
pub fn kafka_settings(connection: &Connection) -> Settings {
    let mut settings: Settings = connection
        .extra_names()
        .into_iter()
        .filter_map(|name| connection.extra_text(&name).map(|value| (name, value)))
        .collect();
    if let Some(host) = connection.host() {
        let address = format!("{host}:{}", connection.port().unwrap_or(9092));
        settings.entry("bootstrap.servers".to_owned()).or_insert(address);
    }
    settings
}

/// An `aws` connection for one of its services, `s3` or `dynamodb`: its login and password are keys; `region_name`,
/// `endpoint_url`, `profile_name` and `aws_session_token` stand in its extra. The service's own `endpoint_url` wins.
pub fn aws_settings(connection: &Connection, service: &str) -> Settings {
    let mut settings = Settings::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(key.to_owned(), value);
        }
    };
    let extra = |name: &str| connection.extra_text(name);
    set("region", extra("region_name"));
    set("endpoint", of_service(connection, service, "endpoint_url").or_else(|| extra("endpoint_url")));
    set("profile", extra("profile_name"));
    set("access_key", connection.login().map(str::to_owned).or_else(|| extra("aws_access_key_id")));
    let password = connection.password().map(|password| password.reveal().to_owned());
    set("secret_key", password.or_else(|| extra("aws_secret_access_key")));
    set("session_token", extra("aws_session_token"));
    settings
}

/// What an `aws` connection says of one service: `service_config: {s3: {bucket_name: lake}}` in its extra.
pub fn of_service(connection: &Connection, service: &str, name: &str) -> Option<String> {
    let services: serde_json::Value = serde_json::from_str(&connection.extra_text("service_config")?).ok()?;
    services[service][name].as_str().map(str::to_owned)
}

/// A bucket of S3 as the settings of an `aws` connection have it; without keys, by the profile or the standard chain.
pub async fn s3_bucket(settings: &Settings, bucket: &str) -> Result<Bucket, cloud::Error> {
    let of = |key: &str| settings.get(key).cloned();
    let endpoint = of("endpoint");
    store::s3(&S3Config {
        bucket: bucket.to_owned(),
        region: of("region"),
        path_style: endpoint.is_some(),
        endpoint,
        credentials: aws_credentials(settings).await,
    })
}

/// As whom the settings of an `aws` connection go.
pub async fn aws_credentials(settings: &Settings) -> Credentials {
    let of = |key: &str| settings.get(key).cloned();
    match (of("access_key"), of("secret_key")) {
        (Some(access_key), Some(secret_key)) => Credentials::Keys {
            access_key,
            secret_key: Secret::new(secret_key),
            session_token: of("session_token").map(Secret::new),
        },
        _ => Credentials::Identity(aws::Identity::load(of("profile").as_deref()).await),
    }
}

/// A bucket of Google Cloud Storage as the settings of a `google_cloud_platform` connection have it.
pub fn gcs_bucket(settings: &Settings, bucket: &str) -> Result<Bucket, cloud::Error> {
    let of = |key: &str| settings.get(key).cloned();
    let options = gcp::Options {
        credentials: of("credentials").map(Into::into),
        credentials_json: of("credentials_json").map(Secret::new),
        impersonate: of("impersonate"),
        quota_project: of("quota_project"),
    };
    let config = GcsConfig { project: of("project"), ..GcsConfig::of_environment(bucket, &options)? };
    store::gcs(&config)
}

/// A `google_cloud_platform` connection: `project`, `key_path`, `keyfile_dict`, `impersonation_chain` and `quota_project_id` in its extra.
pub fn google_settings(connection: &Connection) -> Settings {
    // Airflow's older form of the same names.
    let extra = |name: &str| {
        let long = format!("extra__google_cloud_platform__{name}");
        connection.extra_text(name).or_else(|| connection.extra_text(&long))
    };
    let mut settings = Settings::new();
    let names = [
        ("project", "project"),
        ("credentials", "key_path"),
        ("credentials_json", "keyfile_dict"),
        ("impersonate", "impersonation_chain"),
        ("quota_project", "quota_project_id"),
    ];
    for (key, name) in names {
        if let Some(value) = extra(name) {
            settings.insert(key.to_owned(), value);
        }
    }
    settings
}

/// The project's own DynamoDB: the embedded endpoint, another one, or AWS itself.
pub fn local_dynamodb(context: &Context) -> Result<Settings, Failure> {
    let given = &context.project()?.settings;
    let mut settings = Settings::new();
    let mut set = |key: &str, value: &str| settings.insert(key.to_owned(), value.to_owned());
    set("region", given.text("dynamodb.region"));
    if let Some(endpoint) = context.dynamodb_url()? {
        set("endpoint", &endpoint);
        if given.optional_text("dynamodb.external").is_none() {
            // The embedded endpoint takes any keys, but has to be given some.
            set("access_key", "tidemill");
            set("secret_key", "tidemill");
        }
    }
    Ok(settings)
}
