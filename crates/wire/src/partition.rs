//! Which partition a key goes to: Kafka's default partitioner, and librdkafka's `consistent`.

/// The hash of Kafka's default partitioner (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0_u32, |k, &byte| k << 8 | u32::from(byte)).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0_u32, |k, &byte| k << 8 | u32::from(byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// The partition of a key as Java's clients, and librdkafka's `murmur2_random`, choose it. `partitions_count` > 0.
pub fn of_key(key: &[u8], partitions_count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions_count
}

/// The partition of a key as librdkafka's default (`consistent_random`) chooses it. `partitions_count` > 0.
pub fn of_key_crc32(key: &[u8], partitions_count: u32) -> u32 {
    crc32(key) % partitions_count
}

/// CRC-32 with the polynomial of zlib.
pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, &byte| crc >> 8 ^ CRC32[usize::from(crc as u8 ^ byte)])
}

const CRC32: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests;
