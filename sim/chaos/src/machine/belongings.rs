//! What is in a data directory and on the ports, read as anybody could who may enter it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::RangeInclusive,
    path::Path,
};

use crate::deployment::Belongings;

/// How the kernel writes that a socket listens.
const LISTENS: &str = "0A";

pub(super) fn read(data: &Path, ports: &RangeInclusive<u16>) -> io::Result<Belongings> {
    let mut belongings = Belongings {
        ports: listening(ports)?,
        mails: mails(&data.join("mail"))?,
        ..Belongings::default()
    };
    for name in names(&data.join("databases"))? {
        if name.starts_with('.') {
            belongings.unfinished.push(format!("databases/{name}"));
        } else {
            belongings.databases.insert(name);
        }
    }
    for name in names(&data.join("secrets"))? {
        match name.strip_suffix(".json") {
            Some(id) if !name.starts_with('.') => {
                belongings.secrets.insert(id.to_owned());
            }
            _ => belongings.unfinished.push(format!("secrets/{name}")),
        }
    }
    for (folder, is_unfinished) in [("mail", '.'), ("", '\0')] {
        for name in names(&data.join(folder))? {
            if name.starts_with(is_unfinished) || has_extension(&name, "new") {
                belongings.unfinished.push(format!("{folder}/{name}"));
            }
        }
    }
    Ok(belongings)
}

/// The names in a folder; none if it is not there (any more).
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|its| its == extension)
}

/// How many mails there are to each address.
fn mails(folder: &Path) -> io::Result<BTreeMap<String, usize>> {
    let mut mails = BTreeMap::new();
    for name in names(folder)?.into_iter().filter(|name| has_extension(name, "eml")) {
        let mail = fs::read_to_string(folder.join(name))?;
        *mails
            .entry(recipient(&mail).unwrap_or("nobody").to_owned())
            .or_default() += 1;
    }
    Ok(mails)
}

/// The address in the header `To`.
fn recipient(mail: &str) -> Option<&str> {
    let head = mail.split_once("\r\n\r\n").map_or(mail, |(head, _)| head);
    let to = head.lines().find_map(|line| line.strip_prefix("To: "))?;
    Some(to.trim().trim_matches(|c| c == '<' || c == '>'))
}

/// Ports of this range on which somebody listens.
fn listening(range: &RangeInclusive<u16>) -> io::Result<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match fs::read_to_string(table) {
            Ok(text) => text,
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        ports.extend(
            text.lines()
                .skip(1)
                .filter_map(listener)
                .filter(|port| range.contains(port)),
        );
    }
    Ok(ports)
}

/// Of a line of the table: its local port, if it listens.
fn listener(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (_, port) = local.rsplit_once(':')?;
    (state == LISTENS).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_counted_by_its_recipient() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.eml", "b.eml"] {
            let mail = "From: x@y.example\r\nTo: <admin@t1.example>\r\n\r\nTo: <nobody@t2.example>";
            fs::write(folder.path().join(name), mail).expect("a mail");
        }
        fs::write(folder.path().join("other"), "").expect("a file");
        let mails = mails(folder.path()).expect("mails");
        assert_eq!(mails, BTreeMap::from([("admin@t1.example".to_owned(), 2)]));
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let listens = "   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
        let connected = "   1: 0100007F:5208 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
        assert_eq!(listener(listens), Some(0x5208));
        assert_eq!(listener(connected), None);
    }

    #[test]
    fn what_is_half_written_is_found() {
        let data = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(data.path().join("databases/.passing-x")).expect("a folder");
        fs::create_dir(data.path().join("secrets")).expect("a folder");
        fs::write(data.path().join("secrets/inst_1.json"), "{}").expect("a file");
        fs::write(data.path().join("secrets/.new-1"), "{").expect("a file");
        let belongings = read(data.path(), &(1..=1)).expect("read");
        assert_eq!(belongings.secrets, BTreeSet::from(["inst_1".to_owned()]));
        assert_eq!(belongings.unfinished, ["databases/.passing-x", "secrets/.new-1"]);
    }
}
