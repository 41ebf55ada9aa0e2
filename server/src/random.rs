//! Random text that nobody can guess.

use ring::rand::{SecureRandom, SystemRandom};

/// Writes `BYTES` random bytes as lower-case hexadecimal digits.
pub fn hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    hops_credentials_core::text::hex(&bytes)
}
