//! Whether a request comes from our own pages: the rule of Go 1.25's `net/http.CrossOriginProtection`.
//!
//! No tokens in forms: browsers say where a request comes from. Requests with a bearer token are exempt (no foreign page
//! can set that header), which is the caller's affair.

/// Whether a request may change something, by its method, the headers `Sec-Fetch-Site` and `Origin`, and its `Host`.
///
/// What changes nothing may come from anywhere. Else `Sec-Fetch-Site` must be `same-origin` or `none`; without it (over
/// plain HTTP Chromium sends none) the origin's host and port must be ours. `Origin: null` is foreign. Neither header: not
/// a browser, or one that sends no cookies across sites either.
pub fn is_same_origin(method: &str, sec_fetch_site: Option<&str>, origin: Option<&str>, host: &str) -> bool {
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    match (sec_fetch_site.filter(|site| !site.is_empty()), origin.filter(|origin| !origin.is_empty())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
        (None, Some(origin)) => {
            let at = origin.split_once("://").map(|(_, at)| at);
            !host.is_empty() && at.is_some_and(|at| at.eq_ignore_ascii_case(host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "rakkr.local:8443";
    const OURS: &str = "https://rakkr.local:8443";

    #[test]
    fn reading_may_come_from_anywhere() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(is_same_origin(method, Some("cross-site"), Some("https://evil.example"), HOST));
        }
    }

    #[test]
    fn a_browser_that_says_where_from_is_believed_over_the_origin() {
        for method in ["POST", "PATCH", "PUT", "DELETE", "get", "CONNECT"] {
            assert!(is_same_origin(method, Some("same-origin"), Some("https://other.example"), HOST), "{method}");
            assert!(is_same_origin(method, Some("none"), None, HOST), "{method}");
            for site in ["cross-site", "same-site", "Same-Origin", "?"] {
                assert!(!is_same_origin(method, Some(site), Some(OURS), HOST), "{method} {site}");
            }
        }
    }

    #[test]
    fn without_that_the_origin_must_be_ours_with_its_port() {
        assert!(is_same_origin("POST", None, Some(OURS), HOST));
        assert!(is_same_origin("POST", Some(""), Some("http://RAKKR.local:8443"), HOST));
        for foreign in
            ["null", "https://rakkr.local", "https://rakkr.local:8443.evil.example", "rakkr.local:8443", "//"]
        {
            assert!(!is_same_origin("POST", None, Some(foreign), HOST), "{foreign}");
        }
        assert!(!is_same_origin("POST", None, Some("https://"), ""));
    }

    #[test]
    fn a_program_that_sends_neither_is_let_through() {
        assert!(is_same_origin("POST", None, None, HOST));
    }
}
