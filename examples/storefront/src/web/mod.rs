//! The shop over HTTP: which address does what, and what every answer has in common. No SQL, no sockets.

mod admin;
mod basket;
mod catalogue;
mod checkout;
mod cookie;
mod field;
mod form;
mod layout;
mod origin;
mod problem;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};

use self::{admin::Door, form::Visitor, problem::Problem};
use crate::{
    database::{self, BasketLine, Database},
    settings::Settings,
};

/// A filled-in form of the shop has less than a tenth of this.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// Tells who runs the shop which of many shops has answered.
const INSTANCE_HEADER: HeaderName = HeaderName::from_static("x-wharf-instance");

/// What every request is answered from.
#[derive(Debug)]
pub(crate) struct Shop {
    company: String,
    greeting: Option<String>,
    user: Option<String>,
    instance: Option<HeaderValue>,
    /// `None` without a password: then there is no way in.
    door: Option<Door>,
    /// The policy names the style sheet by its hash, so that no other style and no script at all can run in a page.
    content_policy: HeaderValue,
    database: Mutex<Database>,
}

type Shared = Arc<Shop>;
type Answer<T = Response> = Result<T, Problem>;

impl Shop {
    pub(crate) fn new(settings: Settings, database: Database) -> Result<Self, database::Error> {
        let door = settings
            .password
            .map(|password| Ok::<_, database::Error>(Door::new(&database.secret()?, password.as_bytes())))
            .transpose()?;
        Ok(Self {
            company: settings.company,
            greeting: settings.greeting,
            user: settings.user,
            instance: settings.instance.and_then(|id| HeaderValue::try_from(id).ok()),
            door,
            content_policy: layout::content_policy(),
            database: Mutex::new(database),
        })
    }

    /// The database, for the length of one call. A panic while it was held has rolled its transaction back, so that it can be used again.
    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a visitor's basket.
    fn basket(&self, visitor: &Visitor) -> Answer<Vec<BasketLine>> {
        Ok(visitor
            .basket
            .as_ref()
            .map(|basket| self.database().basket(basket))
            .transpose()?
            .unwrap_or_default())
    }

    /// How many pieces are in a visitor's basket, for the navigation.
    fn pieces(&self, visitor: &Visitor) -> Answer<Option<i64>> {
        Ok(visitor
            .basket
            .as_ref()
            .map(|basket| self.database().basket_count(basket))
            .transpose()?)
    }
}

/// Every address of the shop.
pub(crate) fn router(shop: Shop) -> Router {
    let shop = Arc::new(shop);
    Router::new()
        .route("/", get(catalogue::show))
        .route("/basket", get(basket::show))
        .route("/basket/add", post(basket::add))
        .route("/basket/change", post(basket::change))
        .route("/basket/remove", post(basket::remove))
        .route("/checkout", get(checkout::show).post(checkout::place))
        .route("/orders/{number}", get(checkout::order))
        .route("/admin", get(admin::orders::list))
        .route("/admin/login", get(admin::login).post(admin::enter))
        .route("/admin/logout", post(admin::leave))
        .route("/admin/orders/{number}/shipped", post(admin::orders::mark_shipped))
        .route("/admin/products", get(admin::products::list).post(admin::products::add))
        .route(
            "/admin/products/{id}",
            get(admin::products::edit).post(admin::products::change),
        )
        .route("/admin/products/{id}/withdraw", post(admin::products::withdraw))
        .route("/admin/products/{id}/restore", post(admin::products::restore))
        .route("/healthz", get(health))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method())
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(middleware::from_fn(origin::check))
        .layer(middleware::from_fn_with_state(shop.clone(), finish))
        .with_state(shop)
}

/// Ready as soon as the database answers, and only as long as it does.
async fn health(State(shop): State<Shared>) -> Response {
    let answered = shop.database().ping();
    match answered {
        Ok(()) => "ok\n".into_response(),
        Err(error) => {
            crate::say(&error);
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// Gives a problem its page, and every answer the headers that all of them have.
async fn finish(State(shop): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.show(&shop, &mut response);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, shop.content_policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Not `no-referrer`: with that, browsers send `Origin: null` with our own forms. An order's key must not leave the shop, and does not with this.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(instance) = &shop.instance {
        headers.insert(INSTANCE_HEADER, instance.clone());
    }
    response
}

/// Where to look after a form was taken: a reload of that page sends nothing again.
fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// The same, with a cookie to take along.
fn see_with(cookie: HeaderValue, path: &str) -> Response {
    ([(header::SET_COOKIE, cookie)], see(path)).into_response()
}
