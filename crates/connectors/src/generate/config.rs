//! What is made, and how much of it: text -> config, nothing else.

use std::sync::Arc;

use super::{Error, Recipe};
use crate::Settings;

/// A table that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// People as randomuser.me's API gives them.
    Users,
    /// A bank, in the columns of the public set `computingvictor/transactions-fraud-datasets`.
    FinanceUsers,
    FinanceCards,
    FinanceTransactions,
    FinanceMccCodes,
    FinanceFraudLabels,
    /// Whatever a contract says.
    Contract,
}

/// What they are called in `generate:NAME`.
pub(super) const TABLES: &[(&str, Table)] = &[
    ("users", Table::Users),
    ("finance.users", Table::FinanceUsers),
    ("finance.cards", Table::FinanceCards),
    ("finance.transactions", Table::FinanceTransactions),
    ("finance.mcc_codes", Table::FinanceMccCodes),
    ("finance.fraud_labels", Table::FinanceFraudLabels),
];

/// One table to make.
#[derive(Debug, Clone)]
pub struct Config {
    pub table: Table,
    /// What its records are made by, where that is a contract.
    pub recipe: Option<Arc<Recipe>>,
    /// Records of this table; `None`: as many as the other tables speak of, 1,000 users or 100,000 transactions.
    pub count: Option<u64>,
    pub seed: u64,
    /// Customers of the bank: what its other tables refer to. It has three cards for each on average.
    pub customers_count: u64,
}

/// As many as the public set has.
const CUSTOMERS_DEFAULT: u64 = 2_000;
const USERS_DEFAULT: u64 = 1_000;
const RECORDS_DEFAULT: u64 = 1_000;
const TRANSACTIONS_DEFAULT: u64 = 100_000;
/// As many payments, 24 s apart, still have dates.
const COUNT_MAX: u64 = 1 << 36;

impl Config {
    /// `users`, or `finance.transactions?count=1000&seed=7&customers=500`: what stands behind `generate:`.
    ///
    /// # Errors
    /// A table that there is not, an option that there is not, a number that is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, options) = text.split_once('?').unwrap_or((text, ""));
        let mut settings = given(options, &["count", "seed", "customers"])?;
        settings.insert("table".to_owned(), name.to_owned());
        Self::read(&settings)
    }

    /// `users`, `finance.transactions`: whether a name is that of a table of ours.
    pub fn is_table(name: &str) -> bool {
        TABLES.iter().any(|(known, _)| *known == name)
    }

    /// Records by a contract; the options are `count=1000&seed=7`.
    ///
    /// # Errors
    /// An option that there is not, a number that is none.
    pub fn of_contract(recipe: Arc<Recipe>, options: &str) -> Result<Self, Error> {
        let settings = given(options, &["count", "seed"])?;
        Self::with(Table::Contract, Some(recipe), &settings)
    }

    /// `table`, `count`, `seed`, `customers`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let name = settings.get("table").map_or("", String::as_str);
        let table = TABLES.iter().find(|(known, _)| *known == name).map(|(_, table)| *table);
        let table = table.ok_or_else(|| Error::UnknownTable { name: name.to_owned() })?;
        Self::with(table, None, settings)
    }

    fn with(table: Table, recipe: Option<Arc<Recipe>>, settings: &Settings) -> Result<Self, Error> {
        let number = |key: &'static str, min, max| match settings.get(key) {
            None => Ok(None),
            Some(text) => match text.replace('_', "").parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
                _ => Err(Error::NoNumber { name: key, value: text.clone(), min, max }),
            },
        };
        Ok(Self {
            table,
            recipe,
            count: number("count", 0, COUNT_MAX)?,
            seed: number("seed", 0, u64::MAX)?.unwrap_or(0),
            customers_count: number("customers", 1, COUNT_MAX / 8)?.unwrap_or(CUSTOMERS_DEFAULT),
        })
    }

    /// `generate:finance.users`: what errors and dead letters call it.
    pub fn name(&self) -> Arc<str> {
        let table = TABLES.iter().find(|(_, table)| *table == self.table).map_or("", |(name, _)| name);
        let name = self.recipe.as_ref().map_or(table, |recipe| recipe.name());
        format!("generate:{name}").into()
    }

    /// How many records there are.
    pub fn records_count(&self) -> u64 {
        let all = match self.table {
            Table::Users => USERS_DEFAULT,
            Table::Contract => RECORDS_DEFAULT,
            Table::FinanceUsers => self.customers_count,
            Table::FinanceCards => super::finance::cards_count(self.customers_count),
            Table::FinanceTransactions | Table::FinanceFraudLabels => TRANSACTIONS_DEFAULT,
            Table::FinanceMccCodes => super::words::MCC_CODES.len() as u64,
        };
        match (self.table, self.count) {
            // There are no more than these.
            (Table::FinanceMccCodes | Table::FinanceUsers | Table::FinanceCards, Some(count)) => {
                count.min(all)
            }
            (_, count) => count.unwrap_or(all),
        }
    }
}

/// Options as an address has them.
fn given(options: &str, known: &[&str]) -> Result<Settings, Error> {
    let mut settings = Settings::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if !known.contains(&key) {
            return Err(Error::UnknownOption { name: key.to_owned() });
        }
        settings.insert(key.to_owned(), value.to_owned());
    }
    Ok(settings)
}
