//! Who AWS says we are: GetCallerIdentity of the STS API, 2011-06-15. Everyone may ask it, so its answer proves the keys.

use bytes::Bytes;
use object_store::{
    aws::AwsAuthorizer,
    client::{HttpClient, HttpRequest, HttpRequestBody},
};

use crate::{Error, calls::element, store};

const CALL: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The ARN of whoever these credentials are.
pub async fn caller(
    credentials: &store::Credentials,
    region: &str,
    endpoint: Option<&str>,
) -> Result<String, Error> {
    let place = endpoint.map_or_else(|| format!("https://sts.{region}.amazonaws.com"), str::to_owned);
    let failed = |source| Error::Store { place: place.clone(), source };
    let settings =
        |what: String| Error::Settings { what, help: "correct the region or the endpoint".to_owned() };
    let mut request = HttpRequest::new(HttpRequestBody::from(Bytes::from_static(CALL.as_bytes())));
    *request.method_mut() = "POST".parse().map_err(|_| settings("no method POST".to_owned()))?;
    let uri = format!("{}/", place.trim_end_matches('/'));
    *request.uri_mut() = uri.parse().map_err(|error| settings(format!("{uri}: {error}")))?;
    let form = "application/x-www-form-urlencoded".parse().map_err(|_| settings("no header".to_owned()))?;
    request.headers_mut().insert("content-type", form);
    let client = HttpClient::new(crate::http::Trusting::new(store::request_client()?, Default::default()));
    if let Some(provider) = store::provider(credentials) {
        let credential = provider.get_credential().await;
        let credential = credential.map_err(|error| Error::of_store(error, &place, "", &place))?;
        let authorizer = AwsAuthorizer::new(&credential, "sts", region);
        authorizer.try_authorize(&mut request, None).map_err(|error| settings(error.to_string()))?;
    }
    let unreachable = |source: base::BoxError| Error::unreachable(&place, source);
    let response = client.execute(request).await.map_err(|error| unreachable(error.into()))?;
    let status = response.status().as_u16();
    let body = response.into_body().bytes().await.map_err(|error| unreachable(error.into()))?;
    let text = String::from_utf8_lossy(&body);
    match (status, element(&text, "Arn"), element(&text, "Message")) {
        (200, Some(arn), _) => Ok(arn),
        (400 | 401 | 403, _, message) => {
            let source = message.unwrap_or_else(|| format!("status {status}")).into();
            Err(Error::Denied { place, source })
        }
        _ => Err(failed(format!("status {status}").into())),
    }
}
