//! Where a write-ahead log of SQLite's ends, and what a write that was under way leaves behind its end.
//!
//! The format is documented at <https://sqlite.org/fileformat2.html#the_write_ahead_log>: a header, then frames, each with the salts of the header and a checksum
//! over everything before it. A commit is synced before it is answered, and with it whatever is before it; what comes after the last commit, nobody was told of.

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The header begins with it; with the lowest bit set, checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 512..=65536;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The checksum goes on over these bytes, which are whole pairs of words.
fn sum(bytes: &[u8], is_big_endian: bool, (mut first, mut second): (u32, u32)) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if is_big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        first = first.wrapping_add(word(0)).wrapping_add(second);
        second = second.wrapping_add(word(4)).wrapping_add(first);
    }
    (first, second)
}

/// The size of a frame, and where the last commit ends. `None`: it is no log, or one without a whole header.
pub(super) fn last_commit(log: &[u8]) -> Option<(usize, usize)> {
    let magic = word(log, 0)?;
    if magic & !1 != MAGIC {
        return None;
    }
    let is_big_endian = magic & 1 == 1;
    let page = usize::try_from(word(log, 8)?)
        .ok()
        .filter(|size| PAGE_SIZES.contains(size))?;
    let (salts, frame) = (log.get(16..24)?, FRAME_HEADER + page);
    let mut so_far = sum(log.get(..24)?, is_big_endian, (0, 0));
    if so_far != (word(log, 24)?, word(log, 28)?) {
        return None;
    }
    let (mut at, mut end) = (HEADER, HEADER);
    while let Some(bytes) = log.get(at..at + frame) {
        so_far = sum(&bytes[..8], is_big_endian, so_far);
        so_far = sum(&bytes[FRAME_HEADER..], is_big_endian, so_far);
        if &bytes[8..16] != salts || Some(so_far) != word(bytes, 16).zip(word(bytes, 20)) {
            break;
        }
        at += frame;
        if word(bytes, 4) != Some(0) {
            end = at;
        }
    }
    Some((frame, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// A log with a frame for each of these, which is a commit or not.
    fn log(commits: &[bool]) -> Vec<u8> {
        let mut log = Vec::new();
        for number in [MAGIC, 3_007_000, PAGE as u32, 0, 17, 18] {
            log.extend(number.to_be_bytes());
        }
        let mut so_far = sum(&log, false, (0, 0));
        log.extend([so_far.0.to_be_bytes(), so_far.1.to_be_bytes()].concat());
        for (index, is_commit) in commits.iter().enumerate() {
            let head = [index as u32 + 1, u32::from(*is_commit)].map(u32::to_be_bytes).concat();
            let page = [index as u8; PAGE];
            so_far = sum(&page, false, sum(&head, false, so_far));
            log.extend(head);
            log.extend([17, 18, so_far.0, so_far.1].map(u32::to_be_bytes).concat());
            log.extend(page);
        }
        log
    }

    #[test]
    fn a_log_ends_with_its_last_commit() {
        let frame = FRAME_HEADER + PAGE;
        assert_eq!(last_commit(&log(&[])), Some((frame, HEADER)));
        assert_eq!(
            last_commit(&log(&[false, true, true, false])),
            Some((frame, HEADER + 3 * frame))
        );
    }

    #[test]
    fn what_does_not_add_up_is_behind_the_end() {
        let frame = FRAME_HEADER + PAGE;
        let mut torn = log(&[true, true]);
        torn[HEADER + frame + FRAME_HEADER] ^= 1;
        assert_eq!(last_commit(&torn), Some((frame, HEADER + frame)));
        torn.truncate(HEADER + frame + 100);
        assert_eq!(last_commit(&torn), Some((frame, HEADER + frame)));
    }

    #[test]
    fn what_is_no_log_has_no_end() {
        assert_eq!(last_commit(b""), None);
        assert_eq!(last_commit(&[7; 100]), None);
    }
}
