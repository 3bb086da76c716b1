//! `/tenants`: a customer, by name.

use axum::{extract::State, http::StatusCode};
use wharf_domain::{Code, Subdomain};

use super::view::{Accepted, accepted_example};
use crate::{
    answer,
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request::Word,
    state::App,
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::delete("/tenants/{subdomain}", "end_tenant", Tag::Instances, Access::Admin, end)
            .says(
                "End a tenant",
                "Its task, database and secrets are removed, and its name rests before somebody else may have it.",
            )
            .answers::<Accepted>(202, "Asked for", "Accepted")
            .like(accepted_example("ready", "acme is being ended"))
            .fails(&[Code::InstanceUnknown, Code::InstanceState])
            .fails(STORE),
    ]
}

async fn end(State(app): State<App>, Word(name): Word) -> Answer {
    // An instance's id is no tenant's name, and ends nothing here.
    if Subdomain::check(&name).is_err() {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(Problem::new(
            Code::InstanceUnknown,
            format!("there is no tenant {shown:?}"),
            "`wharf list` shows those that there are",
        ));
    }
    let id = app.wharf.find(&name).await?;
    app.wharf.end(&id).await?;
    let accepted = Accepted::of(&app.wharf.show(&id).await?, "ended");
    Ok(answer::json(StatusCode::ACCEPTED, &accepted))
}
