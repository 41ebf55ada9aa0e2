//! The command line as a program of its own; the wheel brings the same.

fn main() {
    std::process::exit(hops_credentials_cli::run(std::env::args_os()));
}
