//! A file that is written while it is sent: any one range of it, once or again (RFC 9110, section 14).

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::super::caller::text;
use super::{Problem, QUEUE, describe};
use crate::capture::take::wav_view::WavView;

/// Sends the file, or the range that is asked for. Several ranges at once are the whole file: a server may do that.
pub(super) fn send(
    request: &Request,
    view: WavView,
    key: &str,
    kind: &'static str,
    name: &str,
) -> Result<Response, Problem> {
    let (headers, all) = (request.headers(), view.bytes());
    let tag = format!("\"{key}\"");
    if text(headers, header::IF_NONE_MATCH).is_some_and(|known| known == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    // Of another version of the file the rest is of no use: all of it then.
    let is_same = text(headers, header::IF_RANGE).is_none_or(|known| known == tag);
    let range = match text(headers, header::RANGE).filter(|_| is_same).map(|range| wanted(range, all)) {
        Some(Wanted::Nothing) => {
            let said = format!("bytes */{all}");
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, said)]).into_response());
        }
        Some(Wanted::Part(range)) => Some(range),
        Some(Wanted::All) | None => None,
    };
    let (at, end) = range.clone().map_or((0, all), |range| (range.start, range.end));
    let body = if request.method() == Method::HEAD { HttpBody::empty() } else { body(view, at, end)? };
    let mut response = body.into_response();
    describe(&mut response, tag, kind, name);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(end - at));
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let said = format!("bytes {at}-{}/{all}", end - 1);
        if let Ok(said) = HeaderValue::from_str(&said) {
            response.headers_mut().insert(header::CONTENT_RANGE, said);
        }
    }
    Ok(response)
}

fn body(view: WavView, at: u64, end: u64) -> Result<HttpBody, Problem> {
    let (tx, rx) = mpsc::channel::<Result<Bytes, std::io::Error>>(QUEUE);
    let mut pieces = view.read(at, end);
    let send = move || {
        loop {
            let piece = match pieces.next_piece() {
                Ok(Some(bytes)) => Ok(bytes.into()),
                Ok(None) => return,
                Err(error) => Err(std::io::Error::other(error.to_string())),
            };
            let is_last = piece.is_err();
            if tx.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("download".into()).spawn(send);
    thread.map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(HttpBody::from_stream(ReceiverStream::new(rx)))
}

/// What a Range header asks for.
#[derive(Debug, PartialEq)]
enum Wanted {
    /// The file: no range that we understand.
    All,
    /// From a byte to before another.
    Part(std::ops::Range<u64>),
    /// Bytes that the file does not have.
    Nothing,
}

fn wanted(range: &str, all: u64) -> Wanted {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    let (first, last) = (first.trim(), last.trim());
    let part = match (number(first), number(last)) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(all),
        (Ok(first), Err(_)) if last.is_empty() => first..all,
        (Err(_), Ok(count)) if first.is_empty() => all.saturating_sub(count)..all,
        _ => return Wanted::All,
    };
    if part.start < part.end { Wanted::Part(part) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_it_says_as_far_as_there_is_a_file() {
        assert_eq!(wanted("bytes=0-", 10), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=2-4", 10), Wanted::Part(2..5));
        assert_eq!(wanted("bytes=2-400", 10), Wanted::Part(2..10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=2-18446744073709551615", 10), Wanted::Part(2..10));
    }

    #[test]
    fn what_lies_behind_the_end_is_nothing_and_what_is_no_range_is_all() {
        assert_eq!(wanted("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(wanted("bytes=-0", 10), Wanted::Nothing);
        for odd in
            ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "", "bytes=-", "bytes=99999999999999999999-"]
        {
            assert_eq!(wanted(odd, 10), Wanted::All, "{odd}");
        }
    }
}
