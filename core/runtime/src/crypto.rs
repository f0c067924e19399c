//! The one provider of cryptography for TLS in a process: aws-lc-rs.
//!
//! rustls takes its provider from the process, and a library that finds none may install its own, or panic when two are
//! compiled in. So every `main` installs ours before anything else, and nothing else ever does: whether TLS works does
//! not hang on what happened to run first.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Makes aws-lc-rs the provider of this process. Only the first call does something.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have come first, with the same.
        let _same: Result<(), Arc<CryptoProvider>> =
            aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_a_provider_however_often_it_was_installed() {
        install();
        install();
        let roots = rustls::RootCertStore::empty();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = config.with_no_client_auth();
        assert_eq!(
            config.crypto_provider().cipher_suites.len(),
            aws_lc_rs::default_provider().cipher_suites.len()
        );
    }
}
