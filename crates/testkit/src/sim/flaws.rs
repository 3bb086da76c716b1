//! Mistakes that Wharf does not make, to be made on purpose: run-time switches of the simulated world. Whoever checks that
//! nothing goes wrong shows with them that he would notice.

use std::fmt;

macro_rules! flaws {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// A mistake that is made on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Flaw {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Flaw {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it is called on a command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What goes wrong with it.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc,)+).trim_ascii(),)*
                }
            }
        }
    };
}

flaws! {
    /// A driver whose lease was taken over still writes.
    SkipsFencing = "skips-fencing",
    /// A step is called before its intent is in the journal.
    JournalsAfter = "journals-after",
    /// A wait is written without a look at what has come into the inbox.
    IgnoresInbox = "ignores-inbox",
    /// A lease that another holds is taken at first sight.
    TakesAtOnce = "takes-at-once",
    /// The registry forgets that a name is taken.
    SharesNames = "shares-names",
    /// A trigger's key is not kept.
    ForgetsKeys = "forgets-keys",
    /// What is released is handed out again at once.
    NeverRests = "never-rests",
    /// A commit whose answer is lost is written in part.
    TearsCommits = "tears-commits",
    /// A message is acknowledged that was never written.
    LosesMessages = "loses-messages",
    /// What a dead driver held is never due again.
    ForgetsTheDead = "forgets-the-dead",
    /// Nothing looks for what is due: a wake that is lost is the end.
    NeverSweeps = "never-sweeps",
    /// Nothing looks whether tasks are still there: an event that is lost is the end.
    NeverLooks = "never-looks",
    /// A start is not known by its token: each call starts another task.
    ForgetsToken = "forgets-token",
    /// A task counts as stopped before it is.
    StopsUnconfirmed = "stops-unconfirmed",
    /// A task is ended whatever its mark says.
    StopsForeign = "stops-foreign",
    /// A route counts as withdrawn and still gets requests.
    WithdrawsUnconfirmed = "withdraws-unconfirmed",
    /// Whoever answers at an address is taken for the instance.
    TrustsAnyAnswer = "trusts-any-answer",
    /// An address counts as answering without being asked.
    ProbesNobody = "probes-nobody",
    /// Every attempt makes a new password.
    NewPassword = "new-password",
    /// What an ended instance was given as secrets stays.
    KeepsSecrets = "keeps-secrets",
    /// Every attempt makes the database anew.
    FreshDatabase = "fresh-database",
    /// A database is removed whatever its mark says.
    RemovesForeign = "removes-foreign",
    /// A task is started though it is not its turn, and though there is no room for it.
    IgnoresTheLine = "ignores-the-line",
    /// A request does not count as a use.
    CountsNoUse = "counts-no-use",
    /// Whoever asks for one that sleeps is heard by nobody.
    WakesNobody = "wakes-nobody",
    /// A task counts as paused and goes on.
    PausesUnconfirmed = "pauses-unconfirmed",
    /// A trial is shorter than was promised.
    ShortensTrials = "shortens-trials",
    /// A trial ends, and nobody was told before.
    ForgetsNotice = "forgets-notice",
    /// An extension is acknowledged, and the old end stays.
    ForgetsExtensions = "forgets-extensions",
    /// When the time of one that is Ready is up stands nowhere: it is lost with the server that knew of it.
    ForgetsAppointments = "forgets-appointments",
    /// A mail has another id at every try.
    FreshMailId = "fresh-mail-id",
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Flaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|flaw| flaw.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|flaw| flaw.name()).collect();
            format!("there is no such flaw; there are {}", names.join(", "))
        })
    }
}
