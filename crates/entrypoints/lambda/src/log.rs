//! The log: one JSON object a line, as CloudWatch reads it, with the invocation's request id in each. No secret and no mail address is ever put into it.

use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::fmt;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    prelude::*,
    registry::LookupSpan,
};

/// One invocation at a time: whatever is logged is about it, in whichever of its tasks.
static REQUEST: Mutex<String> = Mutex::new(String::new());

/// From now on lines are of this invocation.
pub fn of_request(id: &str) {
    id.clone_into(&mut REQUEST.lock());
}

/// Begins to log on standard output. `level` as in `LOG_LEVEL`: what cannot be read is `INFO`.
pub fn init(level: Option<&str>) {
    let level = level
        .and_then(|level| level.parse::<Level>().ok())
        .unwrap_or(Level::INFO);
    // What libraries say below a warning is of no use to an operator.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("wharf", level);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines)
        .with_writer(std::io::stdout);
    let begun = tracing_subscriber::registry().with(targets).with(lines).try_init();
    debug_assert!(begun.is_ok(), "the log is set up once");
}

struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        let request = REQUEST.lock().clone();
        if !request.is_empty() {
            line.insert("requestId".to_owned(), request.into());
        }
        event.record(&mut Fields(&mut line));
        line.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}
