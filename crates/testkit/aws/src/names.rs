//! Identifiers in the forms that AWS gives them: ARNs, and ids that follow from a count, so that two runs give the same ones.

/// Whose cloud it is and where.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) region: String,
}

impl Account {
    pub(crate) fn ecs(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{}:{resource}", self.region, self.id)
    }

    pub(crate) fn elb(&self, resource: &str) -> String {
        format!("arn:aws:elasticloadbalancing:{}:{}:{resource}", self.region, self.id)
    }

    pub(crate) fn logs(&self, group: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{group}", self.region, self.id)
    }

    pub(crate) fn cluster(&self, name: &str) -> String {
        self.ecs(&format!("cluster/{name}"))
    }

    /// Who every caller is taken for: the role of a Lambda function or of a server.
    pub(crate) fn caller(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/wharf/simulated", self.id)
    }
}

/// What an ARN, or a bare name, says last: `arn:aws:ecs:…:cluster/web` and `web` are both `web`.
pub(crate) fn last_part(arn_or_name: &str) -> &str {
    arn_or_name.rsplit('/').next().unwrap_or(arn_or_name)
}

/// Ids one after the other, each different and none with a meaning.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    count: u64,
}

impl Sequence {
    pub(crate) const fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn word(&mut self) -> u64 {
        // SplitMix64: neighbouring counts give words that have nothing in common.
        let mut word = self.number().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// 32 hex digits: a task, a container instance.
    pub(crate) fn long(&mut self) -> String {
        format!("{:016x}{:016x}", self.word(), self.word())
    }

    /// 16 hex digits: a target group, a listener.
    pub(crate) fn short(&mut self) -> String {
        format!("{:016x}", self.word())
    }

    /// `i-0123456789abcdef0`, `eni-…`: 17 hex digits behind a prefix.
    pub(crate) fn ec2(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.word())
    }

    /// An id with hyphens: an attachment, an event, a request.
    pub(crate) fn uuid(&mut self) -> String {
        let long = self.long();
        format!(
            "{}-{}-{}-{}-{}",
            &long[..8],
            &long[8..12],
            &long[12..16],
            &long[16..20],
            &long[20..]
        )
    }
}
