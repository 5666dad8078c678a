//! Files that are loaded: made once a run by chance that is none, outside of what is measured.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Result;

/// Mixes a number into one that looks like chance.
fn mixed(number: u64) -> u64 {
    let one = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (one ^ (one >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

const CITIES: [&str; 6] = ["Lisbon", "Nairobi", "Osaka", "Quito", "Tallinn", "Winnipeg"];
const STATES: [&str; 4] = ["open", "paid", "shipped", "returned"];

/// JSON Lines of about 1 KB: nested, with a list, as orders are.
pub(super) fn orders(path: &Path, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        let dice = mixed(number);
        write!(
            file,
            "{{\"id\":\"order-{number:09}\",\"number\":{number},\"status\":\"{}\",\"total\":{}.{:02},\"is_gift\":{},\
             \"created_at\":\"2024-{:02}-{:02}T{:02}:00:00Z\",\"customer\":{{\"id\":{},\"name\":\"Customer {}\",\
             \"email\":\"c{number}@example.org\",\"address\":{{\"street\":\"{} Long Street\",\"city\":\"{}\",\"zip\":\"{:05}\"}}}},\"lines\":[",
            STATES[dice as usize % 4],
            dice % 500,
            dice / 7 % 100,
            dice.is_multiple_of(10),
            dice / 11 % 12 + 1,
            dice / 13 % 28 + 1,
            dice / 17 % 24,
            dice % 50_000,
            dice % 50_000,
            dice / 19 % 999 + 1,
            CITIES[dice as usize / 23 % 6],
            dice / 29 % 100_000,
        )?;
        for line in 0..3 {
            let dice = mixed(dice + line);
            let comma = if line > 0 { "," } else { "" };
            write!(
                file,
                "{comma}{{\"sku\":\"SKU-{:05}\",\"quantity\":{},\"price\":{}.{:02}}}",
                dice % 10_000,
                dice / 3 % 9 + 1,
                dice / 5 % 99,
                dice / 7 % 100
            )?;
        }
        let note = (dice / 31 % 200 + 400) as usize;
        writeln!(
            file,
            "],\"note\":\"{}\"}}",
            "a note of some length, as notes are. ".repeat(17).get(..note).unwrap_or("")
        )?;
    }
    Ok(file.flush()?)
}

/// CSV with the columns of a bank's payments, about 120 bytes a row.
pub(super) fn payments(path: &Path, rows: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(
        file,
        "id,date,client_id,card_id,amount,use_chip,merchant_id,merchant_city,merchant_state,zip,mcc,errors"
    )?;
    for number in 0..rows {
        let dice = mixed(number);
        writeln!(
            file,
            "{},2019-{:02}-{:02}T{:02}:{:02}:00Z,{},{},{}.{:02},{},{},{},{},{},{},{}",
            7_475_327 + number,
            dice % 12 + 1,
            dice / 3 % 28 + 1,
            dice / 5 % 24,
            dice / 7 % 60,
            dice / 11 % 2_000,
            dice / 13 % 6_000,
            dice / 17 % 900,
            dice / 19 % 100,
            ["Swipe Transaction", "Chip Transaction", "Online Transaction"][dice as usize % 3],
            dice / 23 % 30_000,
            CITIES[dice as usize / 29 % 6],
            ["NY", "CA", "TX", "IL"][dice as usize / 31 % 4],
            10_000 + dice / 37 % 89_999,
            5_000 + dice / 41 % 999,
            if dice.is_multiple_of(50) { "Bad PIN" } else { "" },
        )?;
    }
    Ok(file.flush()?)
}

/// JSON Lines of about 150 bytes with a key.
pub(super) fn events(path: &Path, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        let dice = mixed(number);
        writeln!(
            file,
            "{{\"id\":\"event-{number:08}\",\"kind\":\"{}\",\"user\":{},\"amount\":{}.25,\"is_new\":{},\"note\":\"a note of some length, as notes are\"}}",
            ["view", "click", "order"][dice as usize % 3],
            dice % 10_007,
            dice % 500,
            dice.is_multiple_of(7)
        )?;
    }
    Ok(file.flush()?)
}
