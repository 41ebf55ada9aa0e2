//! Random text that nobody can guess.

use ring::rand::{SecureRandom, SystemRandom};

/// `BYTES` random bytes as lower-case hexadecimal digits.
pub fn hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    to_hex(&bytes)
}

/// Two lower-case hexadecimal digits for each byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
