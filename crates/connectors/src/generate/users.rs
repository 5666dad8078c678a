//! People, in the shape that randomuser.me's API gives (version 1.4, <https://randomuser.me/documentation>).
//!
//! Ages are as of 2025-01-01: the clock has no part in it.

use chrono::{DateTime, Datelike, SecondsFormat, TimeZone, Utc};
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{
    dice::Dice,
    words::{CITIES, City, FEMALE_NAMES, LAST_NAMES, MALE_NAMES, STREETS},
};

const SALT: u64 = 1;

#[derive(Serialize)]
pub(super) struct User {
    gender: &'static str,
    name: Name,
    location: Location,
    email: String,
    login: Login,
    dob: Dated,
    registered: Dated,
    phone: String,
    cell: String,
    id: Identity,
    picture: Picture,
    nat: &'static str,
}

#[derive(Serialize)]
struct Name {
    title: &'static str,
    first: &'static str,
    last: &'static str,
}

#[derive(Serialize)]
struct Location {
    street: Street,
    city: &'static str,
    state: &'static str,
    country: &'static str,
    postcode: u32,
    coordinates: Coordinates,
    timezone: Timezone,
}

#[derive(Serialize)]
struct Street {
    number: u64,
    name: &'static str,
}

/// Texts, as the API has them.
#[derive(Serialize)]
struct Coordinates {
    latitude: String,
    longitude: String,
}

#[derive(Serialize)]
struct Timezone {
    offset: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct Login {
    uuid: uuid::Uuid,
    username: String,
    password: String,
    salt: String,
    md5: String,
    sha1: String,
    sha256: String,
}

#[derive(Serialize)]
struct Dated {
    date: String,
    age: i32,
}

#[derive(Serialize)]
struct Identity {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Picture {
    large: String,
    medium: String,
    thumbnail: String,
}

const ZONES: &[Timezone] = &[
    Timezone { offset: "-5:00", description: "Eastern Time (US & Canada), Bogota, Lima" },
    Timezone { offset: "-6:00", description: "Central Time (US & Canada), Mexico City" },
    Timezone { offset: "-7:00", description: "Mountain Time (US & Canada)" },
    Timezone { offset: "-8:00", description: "Pacific Time (US & Canada)" },
];

/// What an email is made from.
const ADJECTIVES: &[&str] =
    &["silver", "happy", "quick", "brown", "lazy", "tiny", "golden", "purple", "crazy", "calm"];
const ANIMALS: &[&str] =
    &["fox", "bear", "otter", "goose", "tiger", "panda", "koala", "lion", "zebra", "wolf"];

pub(super) fn user(seed: u64, number: u64) -> User {
    let mut dice = Dice::new(seed, SALT, number);
    let is_female = dice.per_mille(500);
    let (gender, first, titles): (_, _, &[&str]) = match is_female {
        true => ("female", *dice.pick(FEMALE_NAMES), &["Ms", "Mrs", "Miss"]),
        false => ("male", *dice.pick(MALE_NAMES), &["Mr"]),
    };
    let (title, last) = (*dice.pick(titles), *dice.pick(LAST_NAMES));
    let name = Name { title, first, last };
    let born = date(&mut dice, 1945, 2002);
    let registered = date(&mut dice, 2002, 2022);
    let portrait = dice.below(100);
    let picture = |size: &str| {
        let folder = if is_female { "women" } else { "men" };
        format!("https://randomuser.me/api/portraits/{size}{folder}/{portrait}.jpg")
    };
    User {
        gender,
        // With the number, so that it can be a key.
        email: format!("{}.{}.{number}@example.com", first.to_lowercase(), last.to_lowercase()),
        name,
        location: location(&mut dice),
        login: login(&mut dice),
        dob: born,
        registered,
        phone: phone(&mut dice),
        cell: phone(&mut dice),
        id: Identity {
            name: "SSN",
            // No real number begins with 9.
            value: format!("9{}-{}-{}", dice.digits(2), dice.digits(2), dice.digits(4)),
        },
        picture: Picture { large: picture(""), medium: picture("med/"), thumbnail: picture("thumb/") },
        nat: "US",
    }
}

fn location(dice: &mut Dice) -> Location {
    let City(city, state, postcode, latitude, longitude) = dice.pick(CITIES);
    let mut near = |degrees: &f64| format!("{:.4}", degrees + dice.share() * 0.2 - 0.1);
    let coordinates = Coordinates { latitude: near(latitude), longitude: near(longitude) };
    let zone = match longitude {
        east if *east > -87.0 => 0,
        central if *central > -101.0 => 1,
        mountain if *mountain > -114.5 => 2,
        _ => 3,
    };
    let Timezone { offset, description } = ZONES[zone];
    let street = *dice.pick(STREETS);
    Location {
        street: Street { number: dice.between(1, 9999), name: street },
        city,
        state,
        country: "United States",
        postcode: *postcode,
        coordinates,
        timezone: Timezone { offset, description },
    }
}

/// The digests are those of password and salt one after the other, as the API's are.
fn login(dice: &mut Dice) -> Login {
    let uuid = uuid::Builder::from_random_bytes(dice.bytes()).into_uuid();
    let username = format!("{}{}{}", dice.pick(ADJECTIVES), dice.pick(ANIMALS), dice.digits(3));
    let (password, salt) = (dice.alphanumeric(8).to_lowercase(), dice.alphanumeric(8));
    let salted = format!("{password}{salt}");
    Login {
        uuid,
        username,
        md5: hex(&Md5::digest(&salted)),
        sha1: hex(&Sha1::digest(&salted)),
        sha256: hex(&Sha256::digest(&salted)),
        password,
        salt,
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn date(dice: &mut Dice, first_year: i32, last_year: i32) -> Dated {
    let start = Utc.with_ymd_and_hms(first_year, 1, 1, 0, 0, 0).single();
    let days = (last_year - first_year + 1) as u64 * 365;
    let at_ms = start.map_or(0, |start| start.timestamp_millis()) + dice.below(days * 86_400_000) as i64;
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    Dated { date: at.to_rfc3339_opts(SecondsFormat::Millis, true), age: 2024 - at.year() }
}

fn phone(dice: &mut Dice) -> String {
    format!("({}{}) 555-{}", dice.between(2, 9), dice.digits(2), dice.digits(4))
}
