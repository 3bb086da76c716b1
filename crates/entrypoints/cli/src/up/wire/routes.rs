//! Two load balancers as one: hosts and paths are the embedded one's, target groups AWS's.

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Endpoint, Failure, InstanceId};
use wharf_platform::{Backend, Health, IdleRule, Owner, Registered, RouteKey, Routes, Standing, Unused};

/// Each route to the load balancer that has routes of its kind.
pub(super) struct ByKey {
    pub(super) embedded: Arc<dyn Routes>,
    pub(super) target_groups: Arc<dyn Routes>,
}

impl ByKey {
    fn of(&self, key: &RouteKey) -> &dyn Routes {
        match key {
            RouteKey::Host { .. } | RouteKey::Path { .. } => self.embedded.as_ref(),
            RouteKey::TargetGroups { .. } => self.target_groups.as_ref(),
        }
    }
}

#[async_trait]
impl Routes for ByKey {
    async fn register(&self, backend: Backend) -> Result<(), Failure> {
        self.of(&backend.key).register(backend).await
    }

    async fn open(&self, owner: &Owner, key: &RouteKey) -> Result<(), Failure> {
        self.of(key).open(owner, key).await
    }

    async fn withdraw(
        &self,
        owner: &Owner,
        key: &RouteKey,
        endpoint: Option<&Endpoint>,
        drain: Duration,
    ) -> Result<bool, Failure> {
        self.of(key).withdraw(owner, key, endpoint, drain).await
    }

    async fn health(&self, owner: &Owner, key: &RouteKey, endpoint: &Endpoint) -> Result<Option<Health>, Failure> {
        self.of(key).health(owner, key, endpoint).await
    }

    async fn unused(&self, longer_than: Duration) -> Result<Option<Vec<Unused>>, Failure> {
        self.embedded.unused(longer_than).await
    }

    async fn withdraw_unused(&self, owner: &Owner, key: &RouteKey, longer_than: Duration) -> Result<bool, Failure> {
        self.of(key).withdraw_unused(owner, key, longer_than).await
    }

    fn announce(&self, instance: &InstanceId, key: &RouteKey, standing: Standing) {
        self.of(key).announce(instance, key, standing);
    }

    fn forget(&self, instance: &InstanceId, key: &RouteKey) {
        self.of(key).forget(instance, key);
    }

    async fn idle_rules(&self, keys: &[RouteKey]) -> Result<Vec<IdleRule>, Failure> {
        self.target_groups.idle_rules(keys).await
    }

    async fn remove_rule(&self, rule: &IdleRule) -> Result<bool, Failure> {
        self.target_groups.remove_rule(rule).await
    }

    async fn all(&self, keys: &[RouteKey]) -> Result<Vec<Registered>, Failure> {
        let mut all = self.embedded.all(keys).await?;
        all.extend(self.target_groups.all(keys).await?);
        Ok(all)
    }
}
