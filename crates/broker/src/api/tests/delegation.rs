//! Requests about delegation tokens.

use super::*;

pub(super) fn delegation_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        38 => {
            let renewer = create_delegation_token_request::CreatableRenewers::default()
                .with_principal_type(text("User"))
                .with_principal_name(text("alice"));
            let mut request = CreateDelegationTokenRequest::default().with_renewers(vec![renewer]);
            if version >= 3 {
                request.owner_principal_type = Some(text("User"));
                request.owner_principal_name = Some(text("bob"));
            }
            example(version, &request.with_max_lifetime_ms(-1))
        }
        39 => {
            let request = RenewDelegationTokenRequest::default().with_hmac(Bytes::from_static(b"secret"));
            example(version, &request.with_renew_period_ms(-1))
        }
        40 => {
            let request = ExpireDelegationTokenRequest::default().with_hmac(Bytes::from_static(b"secret"));
            example(version, &request.with_expiry_time_period_ms(-1))
        }
        41 => {
            let owner = describe_delegation_token_request::DescribeDelegationTokenOwner::default()
                .with_principal_type(text("User"))
                .with_principal_name(text("alice"));
            example(version, &DescribeDelegationTokenRequest::default().with_owners(Some(vec![owner])))
        }
        _ => return None,
    })
}
