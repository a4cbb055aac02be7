//! Who may ask: nothing that another site makes a browser do here.
//!
//! A page of another site could ask this one through a name of its own that leads here (DNS
//! rebinding), so a request must name an address, `localhost`, or a name that was allowed; and one
//! that says it comes from a page must come from this one. Nothing can be changed by a request, so
//! only `GET` and `HEAD` are answered.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Host names, beside addresses and `localhost`, under which the server may be asked.
pub type AllowedHosts = Vec<String>;

/// What every answer says to the browser.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Refuses what is not for this server; every answer gets the headers.
pub(super) async fn check(
    State(names): State<Arc<AllowedHosts>>,
    request: Request,
    next: Next,
) -> Response {
    let mut answer = match refuse(request.method(), request.headers(), &names) {
        Some((status, text)) => (status, text).into_response(),
        None => next.run(request).await,
    };
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    answer.headers_mut().extend(headers);
    answer
}

fn refuse(
    method: &Method,
    headers: &HeaderMap,
    names: &[String],
) -> Option<(StatusCode, &'static str)> {
    if method != Method::GET && method != Method::HEAD {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
    }
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    if !is_allowed(host, names) {
        let hint = "this name is not known here; --listen-name allows it\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, hint));
    }
    let origin = text(header::ORIGIN)?;
    let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    (from != Some(host)).then_some((StatusCode::FORBIDDEN, "another site's page asks\n"))
}

/// Whether a `Host` header names an address, `localhost` or an allowed name.
fn is_allowed(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let same = |allowed: &String| allowed.eq_ignore_ascii_case(name);
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Method, is_allowed, refuse};

    #[test]
    fn addresses_localhost_and_allowed_names_are_hosts() {
        let names = ["tweets.example".to_owned()];
        for host in ["127.0.0.1", "127.0.0.1:8080", "[::1]:80", "[::1]", "LOCALHOST:1", "10.0.0.7"]
        {
            assert!(is_allowed(host, &[]), "{host}");
        }
        assert!(is_allowed("Tweets.example:8080", &names));
        for host in ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "::1x"] {
            assert!(!is_allowed(host, &names), "{host}");
        }
    }

    #[test]
    fn another_sites_page_is_refused() {
        let ask = |method: Method, pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a header"));
            }
            refuse(&method, &headers, &[]).map(|(status, _)| status.as_u16())
        };
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(ask(Method::GET, &[host]), None);
        assert_eq!(ask(Method::GET, &[host, ("origin", "http://127.0.0.1:8080")]), None);
        assert_eq!(ask(Method::GET, &[host, ("origin", "http://127.0.0.1:9")]), Some(403));
        assert_eq!(ask(Method::GET, &[host, ("origin", "null")]), Some(403));
        assert_eq!(ask(Method::GET, &[("host", "evil.example")]), Some(421));
        assert_eq!(ask(Method::GET, &[]), Some(421));
        assert_eq!(ask(Method::POST, &[host]), Some(405));
    }
}
