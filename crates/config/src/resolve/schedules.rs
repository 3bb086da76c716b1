//! Which schedules there are: those of the file.

use wharf_domain::ScheduleName;

use super::{Complaint, Scope, Walk, plain};
use crate::{
    Source,
    document::{Document, Table},
    table::{Section, join},
};

impl<'a> Walk<'a> {
    pub(super) fn schedules(
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
            match name.get_ref().parse::<ScheduleName>() {
                Ok(schedule) => {
                    self.resolved.schedules.push(schedule);
                    self.section(section, &below, Scope::of(document), Some(table));
                }
                Err(failure) => {
                    let complaint = Complaint {
                        span: Some(name.span()),
                        hint: failure.hint,
                        ..Complaint::new(failure.message)
                    };
                    self.complain(&below, document, &Source::Default, complaint);
                }
            }
        }
    }
}
