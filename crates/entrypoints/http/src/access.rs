//! The list of who may ask for what, made from the table of operations as the router and the document are.

use std::fmt::Write;

use crate::operation::{Access, Operation};

const HEAD: &str = "\
# Who may ask for what

Every operation of the API and every page, with who may ask for it. This list, the guard before each handler and the OpenAPI document are \
made from one table (`crates/entrypoints/http`); a test asks for each operation as each of these callers, and holds the answers against \
the list. What stands behind it, and what each of them could do with it, is in [security.md](security.md).

| column | who |
|---|---|
| anybody | who shows nothing |
| status link | who has the token of a sign-up's status link: it opens that one sign-up, and nothing else |
| password link | who has the token of the mail's link: it opens that one password, once |
| choice link | who has the token of the mail that asks for another name: it gives that one order a name, once |
| signed webhook | who signs the body with the secret of the webhook of that name |
| foreign page | a page of another origin, a tenant's among them, in a browser that has a console session |
| console | a console session; its changes have to be JSON from Wharf's own origin |
| admin token | who has the admin token |

`yes` is an answer; `-` is a refusal with 401 or 403, or with 404 or 410 where the link is another's. What a page of another origin \
asks for by GET is answered to the browser, and the browser does not show it to the page: no answer allows another origin to read it, \
and the session's cookie does not come along (`SameSite=Strict`).

| operation | | anybody | status link | password link | choice link | signed webhook | foreign page | console | admin token |
|---|---|---|---|---|---|---|---|---|---|
";

/// The list as text.
pub(crate) fn text(operations: &[Operation]) -> String {
    let mut text = HEAD.to_owned();
    for operation in operations {
        let columns = columns(operation.access, operation.is_change());
        let cells: Vec<&str> = columns.iter().map(|may| if *may { "yes" } else { "-" }).collect();
        let (method, path, id) = (&operation.method, operation.path, operation.id);
        writeln!(text, "| `{method} {path}` | `{id}` | {} |", cells.join(" | ")).expect("a text takes text");
    }
    text
}

/// In the order of the list's columns.
const fn columns(access: Access, is_change: bool) -> [bool; 8] {
    let foreign = !is_change;
    match access {
        Access::Anyone | Access::Known => [true, true, true, true, true, foreign, true, true],
        Access::StatusLink => [false, true, false, false, false, false, false, false],
        Access::PasswordLink => [false, false, true, false, false, false, false, false],
        Access::ChoiceLink => [false, false, false, true, false, false, false, false],
        Access::Webhook => [false, false, false, false, true, false, false, false],
        Access::Admin => [false, false, false, false, false, false, true, true],
    }
}
