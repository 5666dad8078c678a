//! A bank: customers, their cards, what they pay and where, and which payments were fraud; in the columns of the public set
//! `computingvictor/transactions-fraud-datasets`, with its quirks (money as `$77.00`, months as `12/2027`).
//!
//! Numbers refer to each other by arithmetic alone: a card's owner, a merchant's town, a payment's card are computed, so that
//! any record of any table can be made by itself.

use serde::Serialize;

use super::{
    Config,
    dice::Dice,
    inline::Inline,
    words::{CITIES, City, FEMALE_NAMES, MCC_CODES, Mcc, STREETS},
};

const USERS: u64 = 10;
const CARDS: u64 = 11;
const TRANSACTIONS: u64 = 12;
const MERCHANTS: u64 = 13;
const FRAUD: u64 = 14;

/// Cards of eight customers in turn: 24 in all, three each on average.
const CARDS_OF: [u64; 8] = [3, 1, 4, 2, 5, 3, 2, 4];
const CARDS_OF_EIGHT: u64 = 24;
/// The year that ages and cards are told by.
const YEAR: i32 = 2020;
/// The first payment, 2010-01-01 00:01:00 UTC, and the seconds from one to the next.
const FIRST_PAYMENT_S: i64 = 1_262_304_060;
const PAYMENT_EVERY_S: u64 = 24;
/// The number of the first payment in the public set.
const FIRST_PAYMENT_ID: u64 = 7_475_327;
const MERCHANTS_OF_A_CITY: u64 = 600;

#[derive(Serialize)]
pub(super) struct User {
    id: u64,
    current_age: i64,
    retirement_age: u64,
    birth_year: i64,
    birth_month: u64,
    gender: &'static str,
    address: String,
    latitude: f64,
    longitude: f64,
    per_capita_income: String,
    yearly_income: String,
    total_debt: String,
    credit_score: u64,
    num_credit_cards: u64,
}

#[derive(Serialize)]
pub(super) struct Card {
    id: u64,
    client_id: u64,
    card_brand: &'static str,
    card_type: &'static str,
    card_number: String,
    expires: String,
    cvv: u64,
    has_chip: &'static str,
    num_cards_issued: u64,
    credit_limit: String,
    acct_open_date: String,
    year_pin_last_changed: i32,
    card_on_dark_web: &'static str,
}

#[derive(Serialize)]
pub(super) struct Transaction {
    pub(super) id: u64,
    pub(super) date: Inline,
    pub(super) client_id: u64,
    pub(super) card_id: u64,
    pub(super) amount: Inline,
    pub(super) use_chip: &'static str,
    pub(super) merchant_id: u64,
    pub(super) merchant_city: &'static str,
    pub(super) merchant_state: Option<&'static str>,
    pub(super) zip: Option<u32>,
    pub(super) mcc: u16,
    pub(super) errors: Option<&'static str>,
}

/// An entry of a JSON object of id -> value, as the public set keeps its codes and labels.
#[derive(Serialize)]
pub(super) struct Entry {
    id: String,
    value: &'static str,
}

/// How many cards so many customers have.
pub(super) fn cards_count(customers_count: u64) -> u64 {
    let rest = &CARDS_OF[..(customers_count % 8) as usize];
    customers_count / 8 * CARDS_OF_EIGHT + rest.iter().sum::<u64>()
}

/// Whose card it is, and which of his.
fn owner(card: u64) -> (u64, u64) {
    let mut left = card % CARDS_OF_EIGHT;
    let mut customer = card / CARDS_OF_EIGHT * 8;
    for count in CARDS_OF {
        if left < count {
            break;
        }
        left -= count;
        customer += 1;
    }
    (customer, left)
}

/// The number of a customer's town: the first of his dice.
fn home(config: &Config, customer: u64) -> usize {
    Dice::new(config.seed, USERS, customer).below(CITIES.len() as u64) as usize
}

pub(super) fn user(config: &Config, number: u64) -> User {
    let mut dice = Dice::new(config.seed, USERS, number);
    let City(_, _, _, latitude, longitude) = &CITIES[dice.below(CITIES.len() as u64) as usize];
    let age = dice.between(18, 90) as i64;
    let retirement_age = (66.0 + dice.normal() * 3.0).clamp(50.0, 79.0) as u64;
    let income = (23_000.0 * (dice.normal() * 0.5).exp()) as u64;
    let yearly = income + income * dice.below(150) / 100;
    let debt = (yearly as f64 * dice.share() * 2.2) as u64;
    let place =
        |degrees: f64, dice: &mut Dice| ((degrees + dice.share() * 0.4 - 0.2) * 100.0).round() / 100.0;
    User {
        id: number,
        current_age: age,
        retirement_age,
        birth_year: i64::from(YEAR) - age,
        birth_month: dice.between(1, 12),
        gender: if dice.per_mille(508) { "Female" } else { "Male" },
        address: format!("{} {}", dice.between(1, 999), street(&mut dice)),
        latitude: place(*latitude, &mut dice),
        longitude: place(*longitude, &mut dice),
        per_capita_income: format!("${income}"),
        yearly_income: format!("${yearly}"),
        total_debt: format!("${debt}"),
        credit_score: (710.0 + dice.normal() * 67.0).clamp(480.0, 850.0) as u64,
        num_credit_cards: CARDS_OF[(number % 8) as usize],
    }
}

fn street(dice: &mut Dice) -> String {
    match dice.per_mille(300) {
        true => format!("{} Street", dice.pick(FEMALE_NAMES)),
        false => (*dice.pick(STREETS)).to_owned(),
    }
}

pub(super) fn card(config: &Config, number: u64) -> Card {
    let mut dice = Dice::new(config.seed, CARDS, number);
    let (client_id, _) = owner(number);
    let (card_brand, card_type) = kind(&mut dice);
    let (first, digits) = match card_brand {
        "Visa" => ("4", 15),
        "Mastercard" => ("5", 15),
        "Amex" => ("3", 14),
        _ => ("6", 15),
    };
    let opened = dice.between(1995, 2019) as i32;
    let limit = match card_type {
        "Debit (Prepaid)" => dice.between(10, 120),
        _ => (13_000.0 * (dice.normal() * 0.7).exp()) as u64,
    };
    Card {
        id: number,
        client_id,
        card_brand,
        card_type,
        card_number: format!("{first}{}", dice.digits(digits)),
        expires: format!("{:02}/{}", dice.between(1, 12), YEAR + dice.between(0, 4) as i32),
        cvv: dice.below(1000),
        has_chip: if dice.per_mille(890) { "YES" } else { "NO" },
        num_cards_issued: dice.between(1, 3),
        credit_limit: format!("${limit}"),
        acct_open_date: format!("{:02}/{opened}", dice.between(1, 12)),
        year_pin_last_changed: opened + dice.below((YEAR - opened) as u64 + 1) as i32,
        card_on_dark_web: "No",
    }
}

fn kind(dice: &mut Dice) -> (&'static str, &'static str) {
    let brand = match dice.below(100) {
        0..=51 => "Mastercard",
        52..=89 => "Visa",
        90..=96 => "Amex",
        _ => "Discover",
    };
    let kind = match (brand, dice.below(100)) {
        ("Amex" | "Discover", _) | (_, 0..=25) => "Credit",
        (_, 26..=90) => "Debit",
        _ => "Debit (Prepaid)",
    };
    (brand, kind)
}

/// What decides a payment's record and its label alike.
struct Payment {
    card: u64,
    client: u64,
    way: &'static str,
    merchant: u64,
    is_fraud: bool,
}

fn payment(config: &Config, number: u64, dice: &mut Dice) -> Payment {
    // Some cards are used much more than others.
    let cards = cards_count(config.customers_count);
    let card = ((dice.share() * dice.share()) * cards as f64) as u64 % cards;
    let (client, _) = owner(card);
    let (cities, home) = (CITIES.len() as u64, home(config, client) as u64);
    let way = match dice.below(1000) {
        0..=522 => "Swipe Transaction",
        523..=883 => "Chip Transaction",
        _ => "Online Transaction",
    };
    let is_away = way != "Online Transaction" && dice.per_mille(120);
    let city = if is_away { dice.below(cities) } else { home };
    let merchant = dice.below(MERCHANTS_OF_A_CITY) * cities + city;
    // One in some seven hundred; far from home and without a card at hand it is many times as often.
    let times = match (way, is_away) {
        ("Online Transaction", _) => 80,
        (_, true) => 50,
        _ => 2,
    };
    let is_fraud = Dice::new(config.seed, FRAUD, number).below(10_000) < times;
    Payment { card, client, way, merchant, is_fraud }
}

pub(super) fn transaction(config: &Config, number: u64) -> Transaction {
    let mut dice = Dice::new(config.seed, TRANSACTIONS, number);
    let paid = payment(config, number, &mut dice);
    let is_online = paid.way == "Online Transaction";
    let City(city, state, zip, ..) = &CITIES[(paid.merchant % CITIES.len() as u64) as usize];
    let Mcc(mcc, _, middle) = Dice::new(config.seed, MERCHANTS, paid.merchant).pick(MCC_CODES);
    let middle = if paid.is_fraud { middle * 2.5 } else { *middle };
    let cents = (middle * (dice.normal() * 0.6).exp()) as u64;
    let is_refund = dice.per_mille(50);
    Transaction {
        id: FIRST_PAYMENT_ID + number,
        date: date(number, &mut dice),
        client_id: paid.client,
        card_id: paid.card,
        amount: amount(cents, is_refund),
        use_chip: paid.way,
        merchant_id: paid.merchant,
        merchant_city: if is_online { "ONLINE" } else { city },
        merchant_state: (!is_online).then_some(*state),
        zip: (!is_online).then_some(*zip),
        mcc: *mcc,
        errors: error(&mut dice, is_online),
    }
}

/// `$77.00`, `$-12.50`
fn amount(cents: u64, is_refund: bool) -> Inline {
    let mut text = Inline::default();
    text.push(if is_refund { b"$-" } else { b"$" });
    text.number(cents / 100, 1);
    text.push(b".");
    text.number(cents % 100, 2);
    text
}

/// Later numbers are later.
fn date(number: u64, dice: &mut Dice) -> Inline {
    let seconds =
        number.saturating_mul(PAYMENT_EVERY_S) + dice.below(PAYMENT_EVERY_S) + FIRST_PAYMENT_S as u64;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the leap day is their last (Hinnant's civil_from_days).
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let mut text = Inline::default();
    for (part, digits, behind) in [
        (year, 4, b"-"),
        (month, 2, b"-"),
        (day, 2, b" "),
        (second / 3_600, 2, b":"),
        (second / 60 % 60, 2, b":"),
        (second % 60, 2, b""),
    ] as [(u64, usize, &[u8]); 6]
    {
        text.number(part, digits);
        text.push(behind);
    }
    text
}

fn error(dice: &mut Dice, is_online: bool) -> Option<&'static str> {
    Some(match (dice.below(1000), is_online) {
        (0..=9, _) => "Insufficient Balance",
        (10..=12, false) => "Bad PIN",
        (13..=14, _) => "Technical Glitch",
        (15, true) => "Bad CVV",
        (16, true) => "Bad Expiration",
        (17, true) => "Bad Card Number",
        _ => return None,
    })
}

pub(super) fn mcc_code(number: u64) -> Entry {
    let Mcc(code, name, _) = &MCC_CODES[number as usize % MCC_CODES.len()];
    Entry { id: code.to_string(), value: name }
}

pub(super) fn fraud_label(config: &Config, number: u64) -> Entry {
    let mut dice = Dice::new(config.seed, TRANSACTIONS, number);
    let paid = payment(config, number, &mut dice);
    Entry { id: (FIRST_PAYMENT_ID + number).to_string(), value: if paid.is_fraud { "Yes" } else { "No" } }
}
