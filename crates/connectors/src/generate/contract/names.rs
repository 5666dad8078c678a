//! What the name of a field says about its values: a word for texts, a range for numbers.

use super::{
    number::Expected,
    text::{city, moment_ms, moments_s, rfc3339, uuid},
};
use crate::generate::{
    dice::Dice,
    words::{FEMALE_NAMES, LAST_NAMES, MALE_NAMES, STREETS},
};

/// Kinds of texts that people know by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Email,
    FirstName,
    LastName,
    FullName,
    Username,
    Company,
    Job,
    Phone,
    City,
    State,
    Country,
    CountryCode,
    Postcode,
    Street,
    Address,
    Url,
    Hostname,
    Address4,
    Uuid,
    Date,
    Moment,
    Time,
    Currency,
    Language,
    Timezone,
    Color,
    Status,
    Thing,
    Title,
    Sentence,
    Sku,
    Gender,
    FileName,
    MediaType,
    Version,
    Hex,
    Agent,
}

/// The last word of a name, or the whole of it, and what it means. The first that fits counts.
const WORDS: &[(&[&str], Word)] = &[
    (&["email", "e_mail", "mail", "email_address"], Word::Email),
    (&["first_name", "firstname", "given_name", "forename", "middle_name"], Word::FirstName),
    (&["last_name", "lastname", "surname", "family_name"], Word::LastName),
    (&["user_name", "username", "login", "nick", "nickname", "handle"], Word::Username),
    (
        &["company", "organization", "organisation", "employer", "brand", "vendor", "company_name"],
        Word::Company,
    ),
    (
        &[
            "product_name",
            "item_name",
            "product",
            "item",
            "category",
            "kind",
            "type",
            "tag",
            "tags",
            "label",
            "group",
        ],
        Word::Thing,
    ),
    (&["file_name", "filename", "file"], Word::FileName),
    (&["host_name", "hostname", "host", "domain", "domain_name"], Word::Hostname),
    (&["name", "full_name", "fullname", "author", "owner", "customer", "contact", "person"], Word::FullName),
    (&["job", "job_title", "occupation", "profession", "role", "position"], Word::Job),
    (&["phone", "phone_number", "telephone", "mobile", "cell", "fax"], Word::Phone),
    (&["city", "town", "locality"], Word::City),
    (&["state", "province", "region"], Word::State),
    (&["country_code", "nationality", "nat"], Word::CountryCode),
    (&["country"], Word::Country),
    (&["zip", "zipcode", "zip_code", "postcode", "postal_code"], Word::Postcode),
    (&["street", "street_name", "address_line", "line1", "address1"], Word::Street),
    (&["ip", "ip_address", "ipaddress", "remote_addr"], Word::Address4),
    (&["address"], Word::Address),
    (
        &[
            "url",
            "uri",
            "website",
            "link",
            "href",
            "homepage",
            "image",
            "avatar",
            "photo",
            "picture",
            "thumbnail",
        ],
        Word::Url,
    ),
    (&["id", "uuid", "guid", "key"], Word::Uuid),
    (&["date", "birthday", "dob", "birthdate", "day"], Word::Date),
    (
        &["at", "timestamp", "datetime", "created", "updated", "modified", "registered", "deleted"],
        Word::Moment,
    ),
    (&["time"], Word::Time),
    (&["currency", "currency_code"], Word::Currency),
    (&["language", "lang", "locale"], Word::Language),
    (&["timezone", "time_zone", "tz"], Word::Timezone),
    (&["color", "colour"], Word::Color),
    (&["status"], Word::Status),
    (&["title", "headline", "subject"], Word::Title),
    (
        &[
            "description",
            "comment",
            "text",
            "note",
            "notes",
            "message",
            "summary",
            "bio",
            "body",
            "content",
            "reason",
        ],
        Word::Sentence,
    ),
    (&["sku", "code", "number", "reference", "ref"], Word::Sku),
    (&["gender", "sex"], Word::Gender),
    (&["mime", "mime_type", "media_type", "content_type"], Word::MediaType),
    (&["version"], Word::Version),
    (&["password", "token", "secret", "hash", "checksum", "salt", "digest", "md5", "sha256"], Word::Hex),
    (&["user_agent", "useragent"], Word::Agent),
];

const NUMBERS: &[(&[&str], Expected)] = &[
    (&["id"], Expected::Counted),
    (&["latitude", "lat"], Expected::Between(-90, 90, 4)),
    (&["longitude", "lng", "lon"], Expected::Between(-180, 180, 4)),
    (&["age"], Expected::Between(18, 90, 0)),
    (&["year"], Expected::Between(1990, 2025, 0)),
    (&["month"], Expected::Between(1, 12, 0)),
    (&["day"], Expected::Between(1, 28, 0)),
    (&["hour", "hours"], Expected::Between(0, 23, 0)),
    (&["minute", "minutes", "second", "seconds"], Expected::Between(0, 59, 0)),
    (&["quantity", "qty", "count", "stock", "items"], Expected::Between(1, 100, 0)),
    (
        &["price", "amount", "total", "cost", "fee", "tax", "subtotal", "discount"],
        Expected::Between(1, 1_000, 2),
    ),
    (&["balance", "salary", "income", "debt", "limit"], Expected::Between(1_000, 100_000, 2)),
    (&["rating", "stars"], Expected::Between(1, 5, 1)),
    (&["percent", "percentage", "score"], Expected::Between(0, 100, 1)),
    (&["rate", "ratio", "share", "probability"], Expected::Between(0, 1, 4)),
    (&["port"], Expected::Between(1_024, 65_535, 0)),
    (&["zip", "postcode", "zip_code", "postal_code"], Expected::Between(10_000, 99_999, 0)),
    (&["weight", "height", "width", "length", "distance", "depth"], Expected::Between(1, 200, 1)),
    (&["temperature"], Expected::Between(-20, 40, 1)),
    (&["duration"], Expected::Between(1, 3_600, 0)),
];

/// `createdAt`, `Created-At` and `created_at` are one name.
fn plain(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut was_small = false;
    for one in name.chars() {
        if !one.is_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            was_small = false;
            continue;
        }
        if one.is_uppercase() && was_small {
            out.push('_');
        }
        was_small = one.is_lowercase() || one.is_ascii_digit();
        out.extend(one.to_lowercase());
    }
    out.trim_end_matches('_').to_owned()
}

/// Whether a name is this word or ends in it: `billing_first_name` in `first_name`.
fn means(name: &str, word: &str) -> bool {
    name == word || name.strip_suffix(word).is_some_and(|before| before.ends_with('_'))
}

pub(super) fn word(name: &str) -> Option<Word> {
    let name = plain(name);
    let found = WORDS.iter().find(|(words, _)| words.iter().any(|word| means(&name, word)));
    found.map(|(_, word)| *word)
}

pub(super) fn expected(name: &str, is_whole: bool) -> Expected {
    let name = plain(name);
    let found = NUMBERS.iter().find(|(words, expected)| match expected {
        // Another record's id is not this one's.
        Expected::Counted => words.contains(&&*name),
        _ => words.iter().any(|word| means(&name, word)),
    });
    let (first, last) = moments_s();
    match found {
        Some((_, expected)) => *expected,
        None if is_whole && ["at", "timestamp", "ts", "time"].iter().any(|word| means(&name, word)) => {
            Expected::Between(first * 1_000, last * 1_000, 0)
        }
        None => Expected::Nothing,
    }
}

pub(super) const THINGS: &[&str] = &[
    "apple", "basket", "bottle", "camera", "candle", "carpet", "chair", "clock", "drum", "engine", "feather",
    "garden", "hammer", "kettle", "ladder", "lamp", "mirror", "needle", "orange", "paper", "pencil", "piano",
    "ribbon", "saddle", "spoon", "table", "ticket", "violin", "wallet", "window",
];
const ADJECTIVES: &[&str] =
    &["blue", "bright", "calm", "early", "fresh", "green", "large", "light", "old", "quiet", "red", "small"];
const VERBS: &[&str] =
    &["arrived", "fell", "opened", "stood still", "turned", "was found", "was sent", "went missing"];

fn one(dice: &mut Dice, of: &'static [&'static str]) -> &'static str {
    let one: &&'static str = dice.pick(of);
    one
}

fn first_name(dice: &mut Dice) -> &'static str {
    let names = if dice.per_mille(500) { FEMALE_NAMES } else { MALE_NAMES };
    one(dice, names)
}

pub(super) fn write(word: Word, number: u64, dice: &mut Dice, out: &mut String) {
    let text: String = match word {
        Word::Email => {
            let (first, last) = (first_name(dice).to_lowercase(), dice.pick(LAST_NAMES).to_lowercase());
            // With the number, so that it can be a key.
            format!("{first}.{last}.{number}@example.com")
        }
        Word::FullName => format!("{} {}", first_name(dice), dice.pick(LAST_NAMES)),
        Word::Username => format!("{}{number}", first_name(dice).to_lowercase()),
        Word::Company => format!("{} & {}", dice.pick(LAST_NAMES), dice.pick(LAST_NAMES)),
        Word::Phone => format!("+1{}{}555{}", dice.between(2, 9), dice.digits(2), dice.digits(4)),
        Word::Postcode => city(dice).2.to_string(),
        Word::Address => format!("{} {}, {}", dice.between(1, 999), dice.pick(STREETS), city(dice).0),
        Word::Street => format!("{} {}", dice.between(1, 999), dice.pick(STREETS)),
        Word::Url => format!("https://example.com/{}/{}", dice.pick(THINGS), dice.between(1, 9_999)),
        Word::Hostname => format!("{}.example.com", dice.pick(THINGS)),
        Word::Address4 => format!("192.0.2.{}", dice.between(1, 254)),
        Word::Uuid => uuid(dice),
        Word::Date => rfc3339(moment_ms(dice))[..10].to_owned(),
        Word::Moment => rfc3339(moment_ms(dice)),
        Word::Time => rfc3339(moment_ms(dice))[11..19].to_owned(),
        Word::Title => format!("The {} {}", dice.pick(ADJECTIVES), dice.pick(THINGS)),
        Word::Sentence => {
            format!("The {} {} {}.", dice.pick(ADJECTIVES), dice.pick(THINGS), dice.pick(VERBS))
        }
        Word::Sku => format!("{}-{}", dice.pick(THINGS)[..2].to_uppercase(), dice.between(1_000, 9_999)),
        Word::FileName => format!("{}-{}.txt", dice.pick(THINGS), dice.between(1, 999)),
        Word::Version => format!("{}.{}.{}", dice.below(5), dice.below(20), dice.below(10)),
        Word::Hex => dice.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect(),
        Word::FirstName
        | Word::LastName
        | Word::Job
        | Word::City
        | Word::State
        | Word::Country
        | Word::CountryCode
        | Word::Currency
        | Word::Language
        | Word::Timezone
        | Word::Color
        | Word::Status
        | Word::Thing
        | Word::Gender
        | Word::MediaType
        | Word::Agent => fixed(word, dice).to_owned(),
    };
    out.push_str(&text);
}

/// Words that are one of a list.
fn fixed(word: Word, dice: &mut Dice) -> &'static str {
    match word {
        Word::FirstName => first_name(dice),
        Word::LastName => one(dice, LAST_NAMES),
        Word::City => city(dice).0,
        Word::State => city(dice).1,
        Word::Job => {
            one(dice, &["Accountant", "Baker", "Carpenter", "Driver", "Engineer", "Nurse", "Teacher"])
        }
        Word::Country => one(dice, &["Brazil", "Canada", "Estonia", "France", "Japan", "Kenya", "Portugal"]),
        Word::CountryCode => one(dice, &["BR", "CA", "EE", "FR", "JP", "KE", "PT", "US"]),
        Word::Currency => one(dice, &["USD", "EUR", "GBP", "JPY", "BRL", "CHF"]),
        Word::Language => one(dice, &["en", "de", "es", "fr", "ja", "pt"]),
        Word::Timezone => {
            one(dice, &["Europe/Lisbon", "America/Chicago", "Asia/Tokyo", "Africa/Nairobi", "UTC"])
        }
        Word::Color => one(dice, &["red", "orange", "yellow", "green", "blue", "violet", "black", "white"]),
        Word::Status => one(dice, &["new", "open", "active", "done", "closed"]),
        Word::Gender => one(dice, &["female", "male"]),
        Word::MediaType => one(dice, &["application/json", "text/plain", "text/html", "image/png"]),
        Word::Agent => one(dice, &["curl/8.9.0", "Mozilla/5.0 (X11; Linux x86_64)", "python-requests/2.32"]),
        _ => one(dice, THINGS),
    }
}
