//! Rows with a value that no program wrote, because somebody edited the database. Such a row counts for nobody, and the others go on.

use std::fmt;

use sqlx::any::{Any, AnyTypeInfo, AnyValueRef};
use sqlx::error::BoxDynError;
use sqlx::{Decode, Type};

use crate::log;

/// The value of a column, if it is one of that type: SQLite holds a text where a number belongs.
#[derive(Debug, Clone)]
pub struct Stored<T>(Option<T>);

impl<T: Type<Any>> Type<Any> for Stored<T> {
    fn type_info() -> AnyTypeInfo {
        T::type_info()
    }

    fn compatible(_: &AnyTypeInfo) -> bool {
        true
    }
}

impl<'r, T: Decode<'r, Any>> Decode<'r, Any> for Stored<T> {
    fn decode(value: AnyValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(T::decode(value).ok()))
    }
}

impl<T> From<T> for Stored<T> {
    fn from(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Stored<T> {
    /// The value; `None` when it is of another type.
    pub fn value(self) -> Option<T> {
        self.0
    }

    /// Reads the value of this column.
    ///
    /// # Errors
    /// [`Damage`] when it is of another type, or when `read` refuses it.
    pub fn read<U, E: fmt::Display>(
        self,
        column: &'static str,
        read: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<U, Damage> {
        let value = self.0.ok_or_else(|| "it is of another type".to_owned());
        let read = value.and_then(|value| read(value).map_err(|problem| problem.to_string()));
        read.map_err(|problem| Damage { column, problem })
    }
}

impl Stored<i64> {
    /// Reads a truth value.
    ///
    /// # Errors
    /// [`Damage`] when it is neither 0 nor 1.
    pub fn read_flag(self, column: &'static str) -> Result<bool, Damage> {
        self.read(column, |number| match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("it is neither 0 nor 1"),
        })
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone)]
pub struct Damage {
    column: &'static str,
    problem: String,
}

/// A row that is damaged. Its text names it with its id, the table, the column and the problem.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{row} is damaged in the database: {}", self.problem())]
pub struct DamagedRow {
    row: String,
    table: &'static str,
    damage: Damage,
    remedy: String,
}

impl DamagedRow {
    /// Makes the error for a row of a table. `remedy` is what an operator does about it.
    pub fn new(row: String, table: &'static str, damage: Damage, remedy: String) -> Self {
        Self { row, table, damage, remedy }
    }

    /// Names it with its id.
    pub fn name(&self) -> &str {
        &self.row
    }

    /// What an operator does about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Writes it into the log, once.
    pub fn log(&self) {
        log::damaged_row(&self.row, &self.problem(), &self.remedy);
    }

    fn problem(&self) -> String {
        format!("column {} of table {}: {}", self.damage.column, self.table, self.damage.problem)
    }
}

/// Keeps what could be read, and logs the rest.
pub fn keep<T>(read: Result<T, DamagedRow>) -> Option<T> {
    read.inspect_err(DamagedRow::log).ok()
}
