//! What the settings say of the embedded broker: its options, with files found from the project's folder.

use std::{net::SocketAddr, path::Path};

use broker::{
    AuthorizerOptions, ClientAuth, DelegationOptions, MigrationPolicy, OauthOptions, Options, Protocol,
    SaslOptions, SecurityOptions, TlsOptions,
};
use project::Project;

use crate::context::Failure;

pub fn broker_options(project: &Project, listen: SocketAddr, state: &Path) -> Result<Options, Failure> {
    let settings = &project.settings;
    let count = |key| settings.count(key).map(|count| i32::try_from(count).unwrap_or(i32::MAX));
    let mut options = Options::at(state.join("broker"), listen);
    options.advertised = settings.optional_text("broker.advertised").map(str::to_owned);
    options.security = security_options(project)?;
    options.partitions_default = count("broker.partitions_count")?;
    options.auto_create_topics = settings.boolean("broker.auto_create_topics")?;
    options.durability = match settings.text("broker.durability") {
        "fsync" => broker::Durability::Fsync,
        _ => broker::Durability::PageCache,
    };
    options.retention_ms = settings.milliseconds("broker.retention_ms")?;
    options.retention_bytes = settings.bytes("broker.retention_bytes")?;
    options.segment_bytes = u32::try_from(settings.bytes("broker.segment_bytes")?).unwrap_or(i32::MAX as u32);
    options.housekeeping_interval_ms =
        u64::try_from(settings.milliseconds("broker.housekeeping_interval_ms")?).unwrap_or(u64::MAX);
    options.transactions_partitions = count("broker.transactions_partitions")?;
    let unbound = |ms: i64| if ms < 0 { i64::MAX } else { ms };
    let timeout_ms = unbound(settings.milliseconds("broker.transaction_timeout_ms_max")?);
    options.transaction_timeout_ms_max = i32::try_from(timeout_ms).unwrap_or(i32::MAX);
    options.transactional_id_retention_ms =
        unbound(settings.milliseconds("broker.transactional_id_retention_ms")?);
    let short = |key| settings.milliseconds(key).map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
    options.group_consumer_heartbeat_interval_ms = short("broker.group_consumer_heartbeat_interval_ms")?;
    options.group_consumer_session_timeout_ms = short("broker.group_consumer_session_timeout_ms")?;
    options.group_consumer_assignment_interval_ms = short("broker.group_consumer_assignment_interval_ms")?;
    options.group_consumer_migration_policy = match settings.text("broker.group_consumer_migration_policy") {
        "disabled" => MigrationPolicy::Disabled,
        "upgrade" => MigrationPolicy::Upgrade,
        "downgrade" => MigrationPolicy::Downgrade,
        _ => MigrationPolicy::Bidirectional,
    };
    share_groups(&mut options, project)?;
    streams_groups(&mut options, project)?;
    limits(&mut options, project)?;
    Ok(options)
}

fn share_groups(options: &mut Options, project: &Project) -> Result<(), Failure> {
    let settings = &project.settings;
    let short = |key| settings.milliseconds(key).map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
    options.group_share_heartbeat_interval_ms = short("broker.group_share_heartbeat_interval_ms")?;
    options.group_share_session_timeout_ms = short("broker.group_share_session_timeout_ms")?;
    options.group_share_assignment_interval_ms = short("broker.group_share_assignment_interval_ms")?;
    options.group_share_record_lock_duration_ms = short("broker.group_share_record_lock_duration_ms")?;
    options.group_share_delivery_count_limit =
        settings.count("broker.group_share_delivery_count_limit")?.max(1);
    options.group_share_partition_max_record_locks =
        settings.count("broker.group_share_partition_max_record_locks")?.max(1);
    options.group_share_max_share_sessions = settings.count("broker.group_share_max_share_sessions")?;
    options.group_share_max_size = settings.count("broker.group_share_max_size")?;
    let partitions = settings.count("broker.share_state_partitions")?;
    options.share_state_partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    Ok(())
}

fn streams_groups(options: &mut Options, project: &Project) -> Result<(), Failure> {
    let settings = &project.settings;
    let short = |key| settings.milliseconds(key).map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
    options.group_streams_heartbeat_interval_ms = short("broker.group_streams_heartbeat_interval_ms")?;
    options.group_streams_session_timeout_ms = short("broker.group_streams_session_timeout_ms")?;
    options.group_streams_assignment_interval_ms = short("broker.group_streams_assignment_interval_ms")?;
    options.group_streams_initial_rebalance_delay_ms =
        short("broker.group_streams_initial_rebalance_delay_ms")?;
    options.group_streams_num_standby_replicas =
        settings.count("broker.group_streams_num_standby_replicas")?;
    options.group_streams_max_size = settings.count("broker.group_streams_max_size")?;
    Ok(())
}

fn limits(options: &mut Options, project: &Project) -> Result<(), Failure> {
    let settings = &project.settings;
    let bytes = |key| settings.bytes(key).map(|bytes| u32::try_from(bytes).unwrap_or(i32::MAX as u32));
    options.connections_count_max = settings.count("broker.connections_count_max")?;
    options.connections_per_ip_count_max = settings.count("broker.connections_per_ip_count_max")?;
    options.connections_idle_ms_max = settings.milliseconds("broker.connections_idle_ms_max")?;
    let authentication_ms = settings.milliseconds("broker.authentication_ms_max")?;
    options.authentication_ms_max = u32::try_from(authentication_ms).unwrap_or(u32::MAX);
    options.requests_in_flight_count_max = settings.count("broker.requests_in_flight_count_max")?.max(1);
    options.request_bytes_max = bytes("broker.request_bytes_max")?;
    options.request_memory_bytes_max = bytes("broker.request_memory_bytes_max")?;
    options.partitions_total_max = settings.count("broker.partitions_total_max")?;
    options.open_files_count_max = settings.count("broker.open_files_count_max")?;
    Ok(())
}

fn security_options(project: &Project) -> Result<SecurityOptions, Failure> {
    let settings = &project.settings;
    let file = |key| settings.optional_text(key).map(|path| project.root.join(path));
    let authorizer = match settings.boolean("broker.authorizer")? {
        true => Some(AuthorizerOptions {
            super_users: principals(settings.text("broker.super_users")),
            allow_everyone_if_no_acl_found: settings.boolean("broker.allow_everyone_if_no_acl_found")?,
        }),
        false => None,
    };
    Ok(SecurityOptions {
        protocol: Protocol::named(settings.text("broker.protocol")).unwrap_or_default(),
        listeners: settings.list("broker.listeners"),
        protocol_map: settings.list("broker.listener_protocols"),
        advertised_listeners: settings.list("broker.advertised_listeners"),
        tls: TlsOptions {
            certificate_chain: file("broker.ssl_certificate_chain"),
            key: file("broker.ssl_key"),
            client_auth: match settings.text("broker.ssl_client_auth") {
                "required" => ClientAuth::Required,
                "requested" => ClientAuth::Requested,
                _ => ClientAuth::None,
            },
            client_authorities: file("broker.ssl_truststore"),
            principal_mapping_rules: settings
                .optional_text("broker.ssl_principal_mapping_rules")
                .map(str::to_owned),
        },
        sasl: sasl_options(project)?,
        authorizer,
    })
}

fn sasl_options(project: &Project) -> Result<SaslOptions, Failure> {
    let settings = &project.settings;
    let has_scheme = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    let jwks = settings.optional_text("broker.oauth_jwks").map(|place| match has_scheme(place) {
        true => place.to_owned(),
        false => project.root.join(place).display().to_string(),
    });
    Ok(SaslOptions {
        mechanisms: settings.list("broker.sasl_mechanisms"),
        users: settings.secrets("broker.users"),
        reauth_ms_max: settings.milliseconds("broker.sasl_reauth_ms_max")?,
        delegation: DelegationOptions {
            secret_key: settings
                .optional_text("broker.delegation_token_secret_key")
                .map(|_| settings.secret("broker.delegation_token_secret_key")),
            lifetime_ms_max: settings.milliseconds("broker.delegation_token_lifetime_ms_max")?,
            expiry_ms: settings.milliseconds("broker.delegation_token_expiry_ms")?,
        },
        oauth: OauthOptions {
            unsecured: settings.boolean("broker.oauth_unsecured")?,
            jwks,
            jwks_refresh_ms: u64::try_from(settings.milliseconds("broker.oauth_jwks_refresh_ms")?)
                .unwrap_or(u64::MAX),
            issuer: settings.optional_text("broker.oauth_issuer").map(str::to_owned),
            audience: settings.list("broker.oauth_audience"),
            clock_skew_ms: settings.milliseconds("broker.oauth_clock_skew_ms")?.max(0),
            subject_claim: settings.text("broker.oauth_subject_claim").to_owned(),
            scope_claim: settings.text("broker.oauth_scope_claim").to_owned(),
        },
    })
}

/// Kafka separates them by semicolons, as distinguished names have commas; a list of YAML has come here with `, `.
fn principals(text: &str) -> Vec<String> {
    let text = text.replace(", User:", ";User:");
    text.split(';').map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_users_are_told_apart_in_both_forms() {
        let expected = ["User:admin", "User:CN=kafka,O=Example"];
        assert_eq!(principals("User:admin;User:CN=kafka,O=Example"), expected);
        assert_eq!(principals("User:admin, User:CN=kafka,O=Example"), expected);
        assert!(principals("").is_empty());
    }
}
