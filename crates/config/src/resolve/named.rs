//! Sections that stand once below each name that the file gives, and that nothing but the file makes: webhooks and their receivers.

use wharf_domain::WebhookName;

use super::{Complaint, Scope, Walk, plain};
use crate::{
    Source,
    document::{Document, Table},
    table::{Section, join},
};

impl<'a> Walk<'a> {
    pub(super) fn named(
        &mut self,
        section: &'static Section,
        path: &str,
        document: &'a Document<'a>,
        table: Option<&'a Table<'a>>,
    ) {
        for (name, value) in table.into_iter().flatten() {
            let below = join(path, &plain(name.get_ref()));
            let Some(table) = self.table(&below, document, value) else {
                continue;
            };
            match name.get_ref().parse::<WebhookName>() {
                Ok(name) => self.resolved.named.entry(section.name).or_default().push(name),
                Err(failure) => {
                    let complaint = Complaint {
                        span: Some(name.span()),
                        hint: failure.hint,
                        ..Complaint::new(failure.message)
                    };
                    self.complain(&below, document, &Source::Default, complaint);
                    continue;
                }
            }
            self.section(section, &below, Scope::of(document), Some(table));
        }
    }
}
