//! The token of an account. It is sent in the header `Authorization` and nowhere shown: not in
//! logs, errors, recordings, nor in what `Debug` prints.

use crate::error::StreamError;
use hyper::header::HeaderValue;
use std::fmt;
use std::path::Path;

/// A bearer token.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// A token; a line end behind it is not part of it.
    pub fn new(text: &str) -> Result<Self, StreamError> {
        let text = text.trim();
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::from_str(&format!("Bearer {text}")).ok().filter(|_| is_plain);
        let mut value = value.ok_or(StreamError::Token)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The token that a file holds.
    pub fn read(path: &Path) -> Result<Self, StreamError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| StreamError::TokenFile { path: path.to_owned(), source })?;
        Self::new(&text)
    }

    /// A server's words without the token, in case it says back what it was sent.
    pub(crate) fn hidden(&self, words: &[u8]) -> Vec<u8> {
        let header = self.0.to_str().unwrap_or_default();
        let secret = header.trim_start_matches("Bearer ");
        String::from_utf8_lossy(words).replace(secret, "…").into_bytes()
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        let token = Token::new("AAAA%2Fsecret\r\n").unwrap();
        assert_eq!(token.header().to_str().unwrap(), "Bearer AAAA%2Fsecret");
        assert!(!format!("{token:?} {:?}", token.header()).contains("secret"));
        let said = br#"{"detail":"GET, authorization: Bearer AAAA%2Fsecret"}"#;
        assert_eq!(
            String::from_utf8(token.hidden(said)).unwrap(),
            r#"{"detail":"GET, authorization: Bearer …"}"#
        );
        for odd in ["", " \n", "two words", "ü", "a\nb"] {
            let error = Token::new(odd).unwrap_err();
            assert!(error.exit_code() == 2 && !format!("{error:?}").contains("two"), "{odd}");
        }
    }
}
