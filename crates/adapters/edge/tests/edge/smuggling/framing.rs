//! How long a body is: lengths, transfer codings, chunks.

use super::{
    Outcome::{Arrives, CutOff, Refused},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_length_is_told_once_or_not_taken() {
    let smuggled = format!("0\r\n\r\n{SMUGGLED}");
    let length = |value: &str| post(&format!("Content-Length: {value}"), "abcd");
    check_all(vec![
        (
            "CL.TE",
            post("Content-Length: 61\r\nTransfer-Encoding: chunked", &smuggled),
            Refused(400),
        ),
        (
            "TE.CL",
            post("Transfer-Encoding: chunked\r\nContent-Length: 3", &smuggled),
            Refused(400),
        ),
        (
            "CL.CL, different",
            post("Content-Length: 4\r\nContent-Length: 5", "abcde"),
            Refused(400),
        ),
        (
            "CL.CL, the same",
            post("Content-Length: 4\r\nContent-Length: 4", "abcd"),
            Refused(400),
        ),
        (
            "CL.CL, one empty",
            post("Content-Length: 4\r\nContent-Length:", "abcd"),
            Refused(400),
        ),
        ("CL as a list", length("4, 4"), Refused(400)),
        ("CL as a list of two", length("4, 5"), Refused(400)),
        ("CL with a sign", length("+4"), Refused(400)),
        ("CL below zero", length("-4"), Refused(400)),
        ("CL in hexadecimal", length("0x4"), Refused(400)),
        ("CL in octal", length("0o4"), Refused(400)),
        ("CL with an exponent", length("4e0"), Refused(400)),
        ("CL with a point", length("4.0"), Refused(400)),
        ("CL with an underscore", length("0_4"), Refused(400)),
        ("CL of two words", length("4 4"), Refused(400)),
        ("CL with a parameter", length("4;a=b"), Refused(400)),
        ("CL in quotes", length("\"4\""), Refused(400)),
        ("CL of nothing", length(""), Refused(400)),
        ("CL beyond 64 bits", length("18446744073709551620"), Refused(400)),
        ("CL of 64 bits and a wrap", length("99999999999999999999"), Refused(400)),
        ("CL after a vertical tab", length("\x0b4"), Refused(400)),
        ("CL before a form feed", length("4\x0c"), Refused(400)),
        ("CL in other digits", length("\u{0664}"), Refused(400)),
        (
            "CL with white space that may be",
            length(" \t4 \t"),
            Arrives(&[("POST /", "abcd")]),
        ),
        (
            "CL with a zero before it",
            length("0004"),
            Arrives(&[("POST /", "abcd")]),
        ),
        (
            "CL with a space before the colon",
            post("Content-Length : 4", "abcd"),
            Refused(400),
        ),
        (
            "CL with a tab before the colon",
            post("Content-Length\t: 4", "abcd"),
            Refused(400),
        ),
        (
            "CL on a folded line",
            post("Content-Length:\r\n 4", "abcd"),
            Refused(400),
        ),
        (
            "CL by an underscore is none",
            post("Content-Length: 4\r\nContent_Length: 2", "abcd"),
            Arrives(&[("POST /", "abcd")]),
        ),
        (
            "0.CL: what follows no body is a request, for who reads it as well as for us",
            post(
                "Content-Length: 0",
                "GET /next HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
            ),
            Arrives(&[("POST /", ""), ("GET /next", "")]),
        ),
        (
            "CL.0: the body of a method that has none mostly is a body",
            format!(
                "GET / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            )
            .into_bytes(),
            Arrives(&[("GET /", SMUGGLED)]),
        ),
        (
            "the body of a HEAD is a body",
            format!(
                "OPTIONS / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            )
            .into_bytes(),
            Arrives(&[("OPTIONS /", SMUGGLED)]),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_coding_is_chunked_alone_or_not_taken() {
    let smuggled = format!("0\r\n\r\n{SMUGGLED}");
    let coded = |line: &str| post(line, &smuggled);
    let mut rows: Vec<(&str, Vec<u8>, Outcome)> = [
        ("TE.TE: x before", "Transfer-Encoding: xchunked"),
        ("TE.TE: identity behind", "Transfer-Encoding: chunked, identity"),
        ("TE.TE: identity before", "Transfer-Encoding: identity, chunked"),
        ("TE.TE: gzip before", "Transfer-Encoding: gzip, chunked"),
        ("TE.TE: twice", "Transfer-Encoding: chunked, chunked"),
        ("TE.TE: an empty element", "Transfer-Encoding: , chunked"),
        ("TE.TE: an empty element behind", "Transfer-Encoding: chunked,"),
        ("TE.TE: a parameter", "Transfer-Encoding: chunked;q=1"),
        ("TE.TE: quotes", "Transfer-Encoding: \"chunked\""),
        ("TE.TE: single quotes", "Transfer-Encoding: 'chunked'"),
        ("TE.TE: a letter that folds to k", "Transfer-Encoding: chun\u{212a}ed"),
        ("TE.TE: nothing", "Transfer-Encoding:"),
        ("TE.TE: identity", "Transfer-Encoding: identity"),
        ("TE.TE: two words", "Transfer-Encoding: chunked x"),
        ("TE.TE: a vertical tab", "Transfer-Encoding: \x0bchunked"),
        ("TE.TE: a form feed", "Transfer-Encoding: chunked\x0c"),
        ("TE.TE: a NUL", "Transfer-Encoding: chunked\0"),
        ("TE.TE: a space before the colon", "Transfer-Encoding : chunked"),
        ("TE.TE: a tab before the colon", "Transfer-Encoding\t: chunked"),
        (
            "TE.TE: a vertical tab before the colon",
            "Transfer-Encoding\x0b: chunked",
        ),
        ("TE.TE: a space before the name", "X: y\r\n Transfer-Encoding: chunked"),
        ("TE.TE: a tab before the name", "X: y\r\n\tTransfer-Encoding: chunked"),
        ("TE.TE: a folded value", "Transfer-Encoding:\r\n chunked"),
        ("TE.TE: behind a bare line feed", "X: y\nTransfer-Encoding: chunked"),
        (
            "TE.TE: behind a bare carriage return",
            "X: y\rTransfer-Encoding: chunked",
        ),
        (
            "TE.TE: two lines, chunked first",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ),
        (
            "TE.TE: two lines, chunked last",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        ),
        (
            "TE.TE: two lines, both chunked",
            "Transfer-Encoding: chunked\r\nTransfer-encoding: chunked",
        ),
        (
            "TE.TE: two lines, one unknown",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        ),
    ]
    .map(|(name, line)| (name, coded(line), Refused(400)))
    .into();
    rows.push((
        "TE on HTTP/1.0",
        format!("POST / HTTP/1.0\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}").into_bytes(),
        Refused(400),
    ));
    for (name, line) in [
        ("TE as it should be", "Transfer-Encoding: chunked"),
        ("TE in capitals", "TRANSFER-ENCODING: CHUNKED"),
        ("TE with white space that may be", "Transfer-Encoding:\t chunked \t"),
        ("TE without a space", "Transfer-Encoding:chunked"),
    ] {
        rows.push((
            name,
            post(line, "4\r\nabcd\r\n0\r\n\r\n"),
            Arrives(&[("POST /", "abcd")]),
        ));
    }
    rows.push((
        "TE by an underscore is none",
        post("Transfer_Encoding: chunked\r\nContent-Length: 4", "abcd"),
        Arrives(&[("POST /", "abcd")]),
    ));
    check_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_one_to_everybody_or_cut_off() {
    let long = format!("4;{}\r\nabcd\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    let trailers = format!("0\r\n{}\r\n", "X-T: y\r\n".repeat(10_000));
    let mut rows: Vec<(&str, Vec<u8>, Outcome)> = [
        ("a size that is none", "x\r\n"),
        ("no size", "\r\nabcd\r\n0\r\n\r\n"),
        ("a size with a sign", "+4\r\nabcd\r\n0\r\n\r\n"),
        ("a size below zero", "-4\r\nabcd\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x4\r\nabcd\r\n0\r\n\r\n"),
        ("a size with an underscore", "0_4\r\nabcd\r\n0\r\n\r\n"),
        ("a size of 65 bits", "10000000000000004\r\nabcd\r\n0\r\n\r\n"),
        ("a size beyond everything", "ffffffffffffffffff\r\n"),
        ("a size that ends in a bare line feed", "4\nabcd\r\n0\r\n\r\n"),
        ("a size that ends in a bare carriage return", "4\rabcd\r\n0\r\n\r\n"),
        ("data that ends in a bare line feed", "4\r\nabcd\n0\r\n\r\n"),
        ("data that ends in a bare carriage return", "4\r\nabcd\r0\r\n\r\n"),
        ("data longer than its size (SPILL)", "4\r\nabcdX\r\n0\r\n\r\n"),
        ("data without an end", "4\r\nabcd0\r\n\r\n"),
        (
            "an extension with a bare line feed (TERM.EXT)",
            "4;a\nb\r\nabcd\r\n0\r\n\r\n",
        ),
        ("an extension that is a line feed", "4;\nx\r\nabcd\r\n0\r\n\r\n"),
        (
            "an extension with a bare carriage return",
            "4;a\rb\r\nabcd\r\n0\r\n\r\n",
        ),
        ("an extension without end", &long),
        ("trailers without end", &trailers),
        ("a trailer that is none", "4\r\nabcd\r\n0\r\nno colon here\r\n\r\n"),
        (
            "a trailer that ends in a bare line feed",
            "4\r\nabcd\r\n0\r\nX: y\n\r\n",
        ),
        ("an end by a bare line feed", "4\r\nabcd\r\n0\r\n\n"),
        ("an end by bare line feeds", "4\r\nabcd\r\n0\n\n"),
        (
            "an end by a carriage return and something else",
            "4\r\nabcd\r\n0\r\n\rX",
        ),
    ]
    .map(|(name, body)| (name, chunked(&format!("{body}{SMUGGLED}")), CutOff))
    .into();
    for (name, body) in [
        ("an extension", "4;name=value\r\nabcd\r\n0\r\n\r\n"),
        ("an extension of the last chunk", "4\r\nabcd\r\n0;x\r\n\r\n"),
        ("a size with zeros before it", "0004\r\nabcd\r\n000\r\n\r\n"),
        ("chunks as they should be", "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        ("a trailer", "4\r\nabcd\r\n0\r\nX-Sum: 7\r\n\r\n"),
        (
            "a trailer that would frame the message",
            "4\r\nabcd\r\n0\r\nContent-Length: 50\r\n\r\n",
        ),
    ] {
        rows.push((name, chunked(body), Arrives(&[("POST /", "abcd")])));
    }
    check_all(rows).await;
}
