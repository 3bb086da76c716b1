//! Texts made small before they are kept: DynamoDB counts each started kilobyte of an item, at every write.
//!
//! A record is a few hundred bytes of its own among a kilobyte of words that every record has. So it is deflated with a dictionary of those
//! words. The first byte says with which one: a dictionary that was released is never edited; another becomes the next number.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use wharf_domain::{Code, Failure};

/// By its number: what records and histories have in common, the commonest last.
const DICTIONARIES: &[&[u8]] = &[include_bytes!("dictionary-1.txt")];
/// What is written now.
const CURRENT: u8 = 1;
/// An item has at most 400 KB; what unpacks to more than this is none of ours.
const UNPACKED_MOST: usize = 32 * 1024 * 1024;

/// The number of the dictionary, and the deflated text.
pub(super) fn pack(text: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::internal(format!("a text cannot be packed: {error}"));
    let mut deflate = Compress::new(Compression::best(), false);
    deflate
        .set_dictionary(dictionary(CURRENT).ok_or_else(|| failed(&"there is no dictionary"))?)
        .map_err(|error| failed(&error))?;
    let mut packed = Vec::with_capacity(text.len() / 2 + 64);
    packed.push(CURRENT);
    loop {
        let rest = &text.as_bytes()[deflate.total_in() as usize..];
        packed.reserve(text.len() / 2 + 64);
        match deflate.compress_vec(rest, &mut packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return Ok(packed),
            Ok(Status::Ok | Status::BufError) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// Fails with `store.damaged` if the bytes are not what [`pack`] of this version or an earlier one made.
pub(super) fn unpack(packed: &[u8]) -> Result<String, Failure> {
    let damaged = |what: &str| {
        Failure::new(Code::StoreDamaged, format!("an item's contents cannot be unpacked: {what}"))
            .hint("it may have been written by a later version of Wharf: upgrade, or restore the table to a point in time before the damage")
    };
    let (&number, deflated) = packed.split_first().ok_or_else(|| damaged("there are none"))?;
    let dictionary = dictionary(number).ok_or_else(|| damaged("their form is not known"))?;
    let mut inflate = Decompress::new(false);
    inflate
        .set_dictionary(dictionary)
        .map_err(|error| damaged(&error.to_string()))?;
    let mut text = Vec::with_capacity(deflated.len() * 4 + 64);
    loop {
        let rest = &deflated[inflate.total_in() as usize..];
        let before = text.len();
        text.reserve(deflated.len() * 4 + 64);
        match inflate.decompress_vec(rest, &mut text, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => return String::from_utf8(text).map_err(|_| damaged("they are no text")),
            Ok(_) if text.len() > UNPACKED_MOST => return Err(damaged("they are too long")),
            Ok(_) if text.len() == before && rest.is_empty() => return Err(damaged("their end is missing")),
            Ok(_) => {}
            Err(error) => return Err(damaged(&error.to_string())),
        }
    }
}

fn dictionary(number: u8) -> Option<&'static [u8]> {
    let index = usize::from(number).checked_sub(1)?;
    DICTIONARIES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn texts_of_all_sizes_come_back() {
        let mut noise = String::new();
        for n in 0..5_000_u32 {
            noise.push_str(&data_encoding::BASE64.encode(&Sha256::digest(n.to_be_bytes())));
        }
        for text in ["", "{}", "ünïcödé 🛶", &"a".repeat(1_000_000), &noise] {
            let packed = pack(text).expect("packs");
            assert!(packed.len() < text.len() + text.len() / 100 + 64);
            assert_eq!(unpack(&packed).expect("unpacks"), text);
        }
    }

    #[test]
    fn a_record_is_kept_in_less_than_half_of_its_size() {
        let record = include_str!("../../../../provisioning/tests/fixtures/records-v1/provision-05-run-healthy.json");
        let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
        let text = record.to_string();
        let packed = pack(&text).expect("packs").len();
        assert!(packed * 2 < text.len(), "{} bytes become {packed}", text.len());
    }

    #[test]
    fn what_is_not_ours_is_damage() {
        let good = pack("{\"data\":{}}").expect("packs");
        for bad in [
            &[][..],
            &[0, 1, 2],
            &[99, 1, 2],
            &good[..good.len() - 1],
            &[1, 255, 255, 255],
        ] {
            assert_eq!(unpack(bad).expect_err("damaged").code, Code::StoreDamaged, "{bad:?}");
        }
    }

    /// Items in the world were packed with it.
    #[test]
    fn a_released_dictionary_stays_as_it_is() {
        let digest = Sha256::digest(DICTIONARIES[0]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&digest[..8]),
            "7fe28f0eba6b1301",
            "add a dictionary, and edit none"
        );
    }
}
