//! What a request must be before anybody is asked to answer it: inputs that two programs could read differently are refused.
//! Pure.
//!
//! hyper has refused already: white space before a colon, folded lines, control characters, a `Content-Length` that is no
//! number, a transfer coding that does not end in `chunked`, one on HTTP/1.0, too many or too large headers. Here comes what
//! it accepts and repairs.

use http::{Method, Request, header::CONTENT_LENGTH, header::TRANSFER_ENCODING};

use crate::{config::Limits, pages::Notice, scan::Facts};

pub(crate) fn request<B>(request: &Request<B>, facts: Facts, limits: &Limits) -> Result<(), Notice> {
    if facts.bare_line_feed {
        return Err(Notice::malformed("a line of it ends in a bare line feed"));
    }
    if facts.disagreement {
        return Err(Notice::malformed("where its head ends can be read in two ways"));
    }
    if facts.content_lengths > 0 && facts.transfer_encodings > 0 {
        return Err(Notice::malformed(
            "it has both a Content-Length and a Transfer-Encoding",
        ));
    }
    if facts.content_lengths > 1 {
        return Err(Notice::malformed("it has more than one Content-Length"));
    }
    if facts.transfer_encodings > 0 {
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        let chunked = codings
            .next()
            .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            return Err(Notice::malformed("its Transfer-Encoding is not chunked alone"));
        }
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Notice::method());
    }
    if request.uri().path() == "*" && *request.method() != Method::OPTIONS {
        return Err(Notice::malformed("its target is a star, which only OPTIONS has"));
    }
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.uri_bytes {
        return Err(Notice::uri_too_long(limits.uri_bytes));
    }
    if let (Some(most), true) = (limits.body_bytes, facts.content_lengths > 0)
        && content_length(request).is_some_and(|length| length > most)
    {
        return Err(Notice::body_too_large(most));
    }
    Ok(())
}

fn content_length<B>(request: &Request<B>) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn status(
        facts: Facts,
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Option<StatusCode> {
        let limits = Limits {
            uri_bytes: 10,
            body_bytes: Some(5),
            ..Limits::default()
        };
        super::request(&build(Request::builder()).body(()).unwrap(), facts, &limits)
            .err()
            .map(|notice| notice.status)
    }

    fn lengths(content_lengths: u8, transfer_encodings: u8) -> Facts {
        Facts {
            content_lengths,
            transfer_encodings,
            ..Facts::default()
        }
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(status(Facts::default(), |request| request.uri("/")), None);
        let chunked = |request: http::request::Builder| request.header(TRANSFER_ENCODING, "Chunked");
        assert_eq!(status(lengths(0, 1), chunked), None);
        let sized = |request: http::request::Builder| request.header(CONTENT_LENGTH, "5");
        assert_eq!(status(lengths(1, 0), sized), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let bad = Some(StatusCode::BAD_REQUEST);
        let same = |request| request;
        assert_eq!(status(lengths(1, 1), same), bad);
        assert_eq!(status(lengths(2, 0), same), bad);
        let bare = Facts {
            bare_line_feed: true,
            ..Facts::default()
        };
        assert_eq!(status(bare, same), bad);
        for coding in ["gzip, chunked", "identity", "chunked, chunked", "xchunked"] {
            let coded = |request: http::request::Builder| request.header(TRANSFER_ENCODING, coding);
            assert_eq!(status(lengths(0, 1), coded), bad, "{coding}");
        }
        let twice = |request: http::request::Builder| {
            request
                .header(TRANSFER_ENCODING, "chunked")
                .header(TRANSFER_ENCODING, "chunked")
        };
        assert_eq!(status(lengths(0, 2), twice), bad);
    }

    #[test]
    fn limits_have_statuses_of_their_own() {
        let none = Facts::default();
        let long = status(none, |request| request.uri("/12345678901"));
        assert_eq!(long, Some(StatusCode::URI_TOO_LONG));
        let large = status(lengths(1, 0), |request| request.header(CONTENT_LENGTH, "6"));
        assert_eq!(large, Some(StatusCode::PAYLOAD_TOO_LARGE));
        let trace = status(none, |request| request.method(Method::TRACE));
        assert_eq!(trace, Some(StatusCode::METHOD_NOT_ALLOWED));
    }
}
