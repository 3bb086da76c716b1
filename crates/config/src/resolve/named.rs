//! Sections that stand once below each name that the file gives: services, schedules, webhooks and their receivers.

use std::str::FromStr;
use wharf_domain::Failure;

use super::{Complaint, Scope, Walk, plain};
use crate::{
    Source,
    document::{Document, Table},
    resolved::Resolved,
    table::{Section, join},
};

impl<'a> Walk<'a> {
    /// Hands each name that is one to `note`, in the file's order and before the keys below it are read.
    pub(super) fn named<T: FromStr<Err = Failure>>(
        &mut self,
        section: &'static Section,
        path: &str,
        document: &'a Document<'a>,
        table: Option<&'a Table<'a>>,
        note: impl Fn(&mut Resolved<'a>, T),
    ) {
        for (name, value) in table.into_iter().flatten() {
            let below = join(path, &plain(name.get_ref()));
            let Some(table) = self.table(&below, document, value) else {
                continue;
            };
            match name.get_ref().parse() {
                Ok(name) => {
                    note(&mut self.resolved, name);
                    self.section(section, &below, Scope::of(document), Some(table));
                }
                Err(Failure { message, hint, .. }) => {
                    let complaint = Complaint {
                        span: Some(name.span()),
                        hint,
                        ..Complaint::new(message)
                    };
                    self.complain(&below, document, &Source::Default, complaint);
                }
            }
        }
    }
}
