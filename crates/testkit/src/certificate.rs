//! The certificate that servers of tests have: valid for `localhost` and 127.0.0.1, trusted by nobody. `certificates/README.md` says how it was made.

/// In PEM form.
pub const CERTIFICATE: &[u8] = include_bytes!("../certificates/self_signed.pem");
/// Its key, in PEM form.
pub const KEY: &[u8] = include_bytes!("../certificates/self_signed.key.pem");
