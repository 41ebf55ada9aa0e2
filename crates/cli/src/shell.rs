//! The commands of shells that change the environment.

use std::path::Path;

use clap::ValueEnum;
use hops_credentials_core::variables::Change;

/// A family of shells.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    /// sh, bash, zsh and other POSIX shells
    #[value(aliases = ["bash", "zsh", "dash", "ksh", "posix"])]
    Sh,
    /// fish
    Fish,
    /// PowerShell
    #[value(alias = "pwsh")]
    Powershell,
}

impl Shell {
    /// The commands that make these changes, a line each.
    pub(crate) fn commands(self, changes: &[Change]) -> String {
        let lines = changes.iter().map(|(name, value)| match value {
            Some(value) => self.set(name, &self.quoted(value)),
            None => self.unset(name),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The command that sets a variable to the contents of a file.
    pub(crate) fn set_from_file(self, name: &str, file: &Path) -> String {
        let file = self.quoted(&file.to_string_lossy());
        let contents = match self {
            Shell::Sh => format!("\"$(cat {file})\""),
            Shell::Fish => format!("(cat {file})"),
            Shell::Powershell => format!("(Get-Content -Raw {file})"),
        };
        self.set(name, &contents)
    }

    fn set(self, name: &str, value: &str) -> String {
        match self {
            Shell::Sh => format!("export {name}={value}"),
            Shell::Fish => format!("set -gx {name} {value}"),
            Shell::Powershell => format!("$env:{name} = {value}"),
        }
    }

    fn unset(self, name: &str) -> String {
        match self {
            Shell::Sh => format!("unset {name}"),
            // A universal variable is one of all sessions. No session can hide it from what it starts.
            Shell::Fish => format!(
                "set -eg {name}; set -eU {name}; and echo 'hops-credentials: the universal variable {name} is erased in all \
                 sessions, since some readers prefer it to the role' >&2"
            ),
            Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue"),
        }
    }

    fn quoted(self, text: &str) -> String {
        let inner = match self {
            Shell::Sh => text.replace('\'', r"'\''"),
            Shell::Fish => text.replace('\\', r"\\").replace('\'', r"\'"),
            // It takes typographic quotes for its own.
            Shell::Powershell => {
                let is_quote = |character| "'\u{2018}\u{2019}\u{201a}\u{201b}".contains(character);
                text.chars().flat_map(|one| std::iter::repeat_n(one, if is_quote(one) { 2 } else { 1 })).collect()
            }
        };
        format!("'{inner}'")
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn each_shell_gets_commands_that_it_understands() {
        let changes = [("A", Some(Zeroizing::new(r"it's \".to_owned()))), ("B", None)];
        for (shell, commands) in [
            (Shell::Sh, "export A='it'\\''s \\'\nunset B"),
            (
                Shell::Fish,
                "set -gx A 'it\\'s \\\\'\nset -eg B; set -eU B; and echo 'hops-credentials: the universal variable B is \
                 erased in all sessions, since some readers prefer it to the role' >&2",
            ),
            (Shell::Powershell, "$env:A = 'it''s \\'\nRemove-Item Env:B -ErrorAction SilentlyContinue"),
        ] {
            assert_eq!(shell.commands(&changes), commands);
        }
        assert_eq!(Shell::Powershell.quoted("\u{2018}a\u{2019}"), "'\u{2018}\u{2018}a\u{2019}\u{2019}'");
        assert_eq!(Shell::Fish.set_from_file("A", Path::new("/f")), "set -gx A (cat '/f')");
        assert_eq!(Shell::Sh.set_from_file("A", Path::new("/f")), "export A=\"$(cat '/f')\"");
    }
}
