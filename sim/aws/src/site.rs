//! All that processes of one run share: the account, the registry, the queue, and how they are to be.

use std::{num::NonZeroU32, sync::Arc, time::Duration};
use wharf_provisioning::{Pace, Settings, tokens::TokenKey};
use wharf_testkit::sim::{SimStore, SimWorld, wharf::settings};

use crate::{account::Account, flaws::Flaw, queue::Queue, rules::Rules, script::Setting};

/// As the function has it: looks at what ECS's events should have told of.
const BACK_STOP: Duration = Duration::from_secs(15);
/// As a server has it whose registry others write too.
const LOOK_FOR_NEWS: Duration = Duration::from_secs(1);

/// Longer than a request that the network held back and the next repair take: until then it is known whose a target was.
const QUARANTINE: Duration = Duration::from_mins(20);

/// The surroundings of every process.
pub(crate) struct Site {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) world: SimWorld,
    pub(crate) account: Account,
    pub(crate) store: Arc<SimStore>,
    pub(crate) queue: Queue,
    pub(crate) rules: Arc<Rules>,
    settings: Settings,
}

impl Site {
    pub(crate) fn new(seed: u64, setting: Setting, flaw: Option<Flaw>, world: SimWorld, account: Account) -> Self {
        let mut settings = settings(&world, account.services.clone());
        settings.port_quarantine = QUARANTINE;
        settings.tenant_service = Some("shop".parse().expect("a service's name"));
        let rules = Arc::new(Rules::new(world.clone(), &account));
        Self {
            seed,
            flaw,
            world,
            account,
            store: Arc::new(SimStore::new()),
            queue: Queue::new(seed, setting.queue_doubles),
            rules,
            settings,
            setting,
        }
    }

    /// For a server.
    pub(crate) fn settings(&self) -> Settings {
        let pace = Pace {
            look_for_news: Some(LOOK_FOR_NEWS),
            ..self.settings.pace.clone()
        };
        Settings {
            pace,
            ..self.settings.clone()
        }
    }

    /// For an invocation: where it looks, it is billed.
    pub(crate) fn thrifty_settings(&self) -> Settings {
        let pace = Pace {
            look_at_tasks: BACK_STOP,
            shortest_look: BACK_STOP,
            ..self.settings.pace.clone()
        };
        Settings {
            pace,
            ..self.settings.clone()
        }
    }

    pub(crate) fn token_key(&self) -> TokenKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        TokenKey::new(key)
    }

    /// How many processes share AWS's buckets.
    pub(crate) fn share(&self) -> NonZeroU32 {
        let processes = self.setting.servers
            + if self.setting.lambda {
                self.setting.concurrency
            } else {
                0
            };
        u32::try_from(processes)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN)
    }
}
