//! A registry with many Ready instances: one is provisioned by a real server, the others are written through the [`Store`]
//! after its pattern, each with a name, a port, tokens, secrets and a history of its own.

use secrecy::SecretString;
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};
use tokio::task::JoinSet;
use wharf_domain::{Endpoint, Instance, InstanceId, State, StatusToken};
use wharf_local::{FileSecrets, OsIds, SystemClock};
use wharf_platform::Secrets;
use wharf_saga::{
    Batch, Clock, Ids, Record, Store,
    store::{Expect, HistoryEntry, Index, Kind, LeaseChange, PAGE_MAX, Query, RecordWrite, Reserve},
};
use wharf_sqlite::SqliteStore;

use crate::{
    Result,
    server::{Server, data_of},
    setup::Setup,
};

/// How many are written at once.
const AT_ONCE: usize = 64;
/// Where the others' ports begin: the range that tasks are given ports from by default.
const FIRST_PORT: u16 = 20_000;
const PATTERN: &str = "tenant-0";

/// What the real one has.
struct Pattern {
    record: Record<Instance>,
    kinds: HashSet<Kind>,
    history: Vec<HistoryEntry>,
    secrets: BTreeMap<String, SecretString>,
}

/// Brings the registry of a server in this folder to so many instances.
pub(crate) fn fill(setup: &Setup, folder: &Path, instances: usize) -> Result<()> {
    let server = Server::start(setup, folder)?;
    let mut api = server.api();
    setup.runtime.block_on(server.provision(&mut api, PATTERN))?;
    drop(server);

    let data = data_of(folder);
    setup.runtime.block_on(async {
        let store = SqliteStore::open(&data.join("registry.db"), &OsIds, SystemClock.now())?;
        let store = Arc::new(store);
        let secrets = Arc::new(FileSecrets::new(&data)?);
        let pattern = Arc::new(Pattern::read(&store, &secrets).await?);
        let own_port = pattern.record.data.held.port;
        let ports = (FIRST_PORT..).filter(|port| Some(*port) != own_port);
        let mut hands = JoinSet::new();
        for (number, port) in (1..instances).zip(ports) {
            if hands.len() == AT_ONCE
                && let Some(written) = hands.join_next().await
            {
                written??;
            }
            let (store, secrets, pattern) = (store.clone(), secrets.clone(), pattern.clone());
            hands.spawn(async move {
                let (batch, id) = pattern.copy(number, port)?;
                secrets.put(&id, pattern.secrets.clone()).await?;
                store.commit(batch).await?;
                Ok::<_, crate::Error>(())
            });
        }
        while let Some(written) = hands.join_next().await {
            written??;
        }
        Ok(())
    })
}

impl Pattern {
    async fn read(store: &SqliteStore, secrets: &FileSecrets) -> Result<Self> {
        let query = Query {
            name: Some(PATTERN.to_owned()),
            limit: 1,
            ..Query::default()
        };
        let found = store.list(query).await?;
        let stored = found.first().ok_or("the pattern is not in the registry")?;
        let record: Record<Instance> = serde_json::from_str(&stored.body)?;
        if !matches!(record.data.state, State::Ready { .. }) {
            return Err("the pattern is not Ready".into());
        }
        let reservations = store.reservations_of(&stored.id).await?;
        let history = store.history(&stored.id, 0, PAGE_MAX).await?;
        let secrets = secrets.get(&stored.id).await?;
        Ok(Self {
            record,
            kinds: reservations.into_iter().map(|(kind, ..)| kind).collect(),
            history: history.into_iter().map(|numbered| numbered.entry).collect(),
            secrets: secrets.ok_or("the pattern has no secrets")?,
        })
    }

    /// Another instance like it, as one batch.
    fn copy(&self, number: usize, port: u16) -> Result<(Batch, InstanceId)> {
        let now = SystemClock.now();
        let id = OsIds.instance_id(now);
        let mut record = self.record.clone();
        let instance = &mut record.data;
        let name = format!("tenant-{number}");
        instance.id = id.clone();
        if let Some(tenant) = &mut instance.tenant {
            tenant.subdomain = name.parse()?;
            tenant.admin_email = format!("admin@{name}.example").parse()?;
        }
        if let State::Ready { url, .. } = &mut instance.state {
            *url = url.replace(PATTERN, &name);
        }
        instance.held.port = Some(port);
        instance.held.database = Some(format!("user_{name}"));
        if let Some(Endpoint::Address { port: listens, .. }) = &mut instance.held.endpoint {
            *listens = port;
        }
        let [status, reveal] = [(); 2].map(|()| {
            let mut random = [0; 16];
            OsIds.fill(&mut random);
            StatusToken::new(random).hash()
        });
        instance.status_token_hash = Some(status.clone());
        let key = |kind| {
            let key = match kind {
                Kind::Name => name.clone(),
                Kind::Port => port.to_string(),
                Kind::Endpoint => instance.held.endpoint.as_ref()?.key(),
                Kind::Token => status.clone(),
                Kind::Reveal => reveal.clone(),
                // The pattern was signed up without one.
                Kind::Trigger | Kind::Session | Kind::Schedule | Kind::Order | Kind::Contract | Kind::Email => {
                    return None;
                }
            };
            Some(Reserve {
                kind,
                key,
                value: String::new(),
                until: None,
                now,
            })
        };
        let reserve = self.kinds.iter().copied().filter_map(key).collect();
        let index = Index {
            name: Some(name.clone()),
            service: instance.service.name.to_string(),
            state: instance.state.name(),
            live: true,
        };
        let write = RecordWrite {
            body: serde_json::to_string(&record)?,
            index,
            wake: None,
        };
        let batch = Batch {
            record: Some(write),
            reserve,
            history: self.history.clone(),
            ..Batch::new(id.clone(), Expect::Absent, LeaseChange::Keep)
        };
        Ok((batch, id))
    }
}
