//! The rules of the layer check, as tables, each with its reason. No code that decides is in here.

/// A layer: where its packages are, and which other layers they may name.
#[derive(Debug)]
pub(crate) struct Layer {
    pub name: &'static str,
    /// A package's folder, or, with `/*` at its end, the folder that its packages are in.
    pub folder: &'static str,
    pub names: &'static [&'static str],
    /// Which ones its tests may name besides.
    pub tests_name: &'static [&'static str],
    pub reason: &'static str,
}

/// From the inside out: a layer names only what stands before it.
pub(crate) const LAYERS: &[Layer] = &[
    Layer {
        name: "domain",
        folder: "crates/domain",
        names: &[],
        tests_name: &[],
        reason: "the words and rules are true whatever runs them",
    },
    Layer {
        name: "saga",
        folder: "crates/saga",
        names: &["domain"],
        tests_name: &["testkit"],
        reason: "the engine knows nothing of provisioning, and nothing of what its records are kept in",
    },
    Layer {
        name: "platform",
        folder: "crates/platform",
        names: &["domain", "saga"],
        tests_name: &["testkit"],
        reason: "what Wharf needs from the world is said without saying who gives it",
    },
    Layer {
        name: "provisioning",
        folder: "crates/provisioning",
        names: &["domain", "saga", "platform"],
        tests_name: &["testkit"],
        reason: "the use cases run the same on every platform and behind every entrance",
    },
    Layer {
        name: "config",
        folder: "crates/config",
        names: &["domain"],
        tests_name: &[],
        reason: "configuration ends in values of the domain; who uses them is not its business",
    },
    Layer {
        name: "testkit",
        folder: "crates/testkit",
        names: &["domain", "saga", "platform", "provisioning"],
        tests_name: &[],
        reason: "the simulated world stands in for every adapter, and so depends on none",
    },
    Layer {
        name: "aws-simulator",
        folder: "crates/testkit/aws",
        names: &[],
        tests_name: &[],
        reason: "it stands for AWS, which knows nothing of Wharf: what both believed would go unnoticed",
    },
    Layer {
        name: "harness",
        folder: "crates/testkit/harness",
        names: &[],
        tests_name: &[],
        reason: "it looks at the program from outside, as a visitor, an operator and a process list do",
    },
    Layer {
        name: "adapter",
        folder: "crates/adapters/*",
        names: &["domain", "saga", "platform"],
        tests_name: &["testkit", "aws-simulator", "harness"],
        reason: "an adapter answers to the traits alone, so that each can be replaced without the others noticing",
    },
    Layer {
        name: "http",
        folder: "crates/entrypoints/http",
        names: &["domain", "saga", "platform", "provisioning"],
        tests_name: &["testkit"],
        reason: "the same router answers on one machine and on AWS: which adapters are behind it is the binary's choice",
    },
    Layer {
        name: "wiring",
        folder: "crates/entrypoints/wiring",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "config",
            "adapter",
            "http",
        ],
        tests_name: &[],
        reason: "what both binaries make of a configuration is the same; the mail adapter is the one that both of them have",
    },
    Layer {
        name: "sim",
        folder: "sim",
        names: &["domain", "saga", "platform", "provisioning", "testkit"],
        tests_name: &[],
        reason: "the simulation plays Wharf itself in the simulated world, without any adapter or entrance",
    },
    Layer {
        name: "storefront",
        folder: "examples/storefront",
        names: &[],
        tests_name: &[],
        reason: "the shop stands for any application that somebody else wrote, and those know nothing of Wharf",
    },
    Layer {
        name: "cli",
        folder: "crates/entrypoints/cli",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "config",
            "adapter",
            "http",
            "wiring",
            "storefront",
        ],
        tests_name: &["testkit", "aws-simulator", "harness"],
        reason: "the binary wires what is shipped, and the simulated world is not",
    },
    Layer {
        name: "lambda",
        folder: "crates/entrypoints/lambda",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "config",
            "adapter",
            "http",
            "wiring",
        ],
        tests_name: &["testkit", "aws-simulator"],
        reason: "the binary wires what is shipped, and the simulated world is not",
    },
    Layer {
        name: "models",
        folder: "sim/models",
        names: &["domain", "saga"],
        tests_name: &[],
        reason: "a model has the engine's pure core and nothing that acts: what it says of the rest it says by itself",
    },
    Layer {
        name: "sim-aws",
        folder: "sim/aws",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "testkit",
            "aws-simulator",
            "adapter",
            "http",
            "lambda",
        ],
        tests_name: &[],
        reason: "it runs what is shipped over a simulated cloud; nothing of it is shipped",
    },
    Layer {
        name: "benches",
        folder: "benches",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "config",
            "testkit",
            "aws-simulator",
            "adapter",
            "http",
            "storefront",
            "lambda",
        ],
        tests_name: &[],
        reason: "measurements may look at everything that is a library; nothing of them is shipped",
    },
    Layer {
        name: "chaos",
        folder: "sim/chaos",
        names: &["harness"],
        tests_name: &[],
        reason: "it sees what customers, operators and administrators see; what it knew from inside, it would not have to find out",
    },
    Layer {
        name: "fuzz",
        folder: "fuzz",
        names: &[
            "domain",
            "saga",
            "platform",
            "provisioning",
            "config",
            "testkit",
            "adapter",
            "http",
            "lambda",
        ],
        tests_name: &[],
        reason: "whatever reads what strangers write is given inputs that nobody thought of; nothing of it is shipped",
    },
    Layer {
        name: "xtask",
        folder: "xtask",
        names: &[],
        tests_name: &["domain"],
        reason: "a workspace that does not build must still be able to check itself",
    },
];

/// A library that only these packages name, in their tests too.
#[derive(Debug)]
pub(crate) struct Owner {
    /// A package's name; with `*` at its end, all that begin so.
    pub library: &'static str,
    pub packages: &'static [&'static str],
    pub reason: &'static str,
}

pub(crate) const OWNERS: &[Owner] = &[
    Owner {
        library: "rusqlite",
        packages: &["wharf-sqlite", "wharf-storefront", "wharf-benches"],
        reason: "what the registry looks like on disk is known to one adapter (the shop's own database aside)",
    },
    Owner {
        library: "aws-sdk-*",
        packages: &["wharf-aws"],
        reason: "the cloud's types end in its adapter",
    },
    Owner {
        library: "aws-config",
        packages: &["wharf-aws"],
        reason: "the cloud's types end in its adapter",
    },
    Owner {
        library: "bollard",
        packages: &["wharf-docker", "wharf-benches"],
        reason: "Docker's types end in its adapter",
    },
    Owner {
        library: "tokio-postgres",
        packages: &["wharf-postgres", "wharf-benches"],
        reason: "PostgreSQL's types end in its adapter",
    },
    Owner {
        library: "mail-builder",
        packages: &["wharf-mail"],
        reason: "what a mail looks like on the wire is known to one adapter",
    },
    Owner {
        library: "lettre",
        packages: &["wharf-mail"],
        reason: "how a mail is handed to a server is known to one adapter",
    },
    Owner {
        library: "axum",
        packages: &["wharf-http", "wharf-storefront", "wharf", "wharf-lambda", "wharf-fuzz"],
        reason: "there is one router, which is an entrance and which the binaries mount",
    },
    Owner {
        library: "utoipa",
        packages: &["wharf-http"],
        reason: "the API is described where it is",
    },
    Owner {
        library: "hyper-util",
        packages: &[
            "wharf-edge",
            "wharf-local",
            "wharf",
            "wharf-storefront",
            "wharf-benches",
            "wharf-aws-simulator",
            "wharf-aws",
            "wharf-mail",
            "wharf-webhooks",
            "wharf-lambda",
            "wharf-harness",
        ],
        reason: "connections are served by the edge, probed by the platform and opened by the command line, by what looks at the program from \
                 outside, and by the tests of the function that is deployed; the rest sees requests",
    },
    Owner {
        library: "stateright",
        packages: &["wharf-models"],
        reason: "models are checked, and never shipped",
    },
    Owner {
        library: "toml",
        packages: &["wharf-config", "xtask"],
        reason: "there is one file of configuration, and one crate that reads it",
    },
    Owner {
        library: "clap",
        packages: &[
            "wharf",
            "wharf-benches",
            "wharf-aws-simulator",
            "wharf-chaos",
            "wharf-sim",
            "wharf-sim-aws",
            "xtask",
        ],
        reason: "a command line belongs to a binary",
    },
    Owner {
        library: "tracing-subscriber",
        packages: &["wharf", "wharf-lambda", "wharf-benches", "wharf-aws-simulator"],
        reason: "where logs go is the binary's choice",
    },
];

/// Libraries that a layer's code must not name; its tests may.
#[derive(Debug)]
pub(crate) struct Forbidden {
    layer: &'static str,
    pub libraries: &'static [&'static str],
    pub reason: &'static str,
}

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        layer: "domain",
        libraries: &[
            "tokio",
            "futures",
            "async-trait",
            "getrandom",
            "rand",
            "rustix",
            "tracing",
        ],
        reason: "the domain is values and pure functions of values: no I/O, no clock, no chance",
    },
    Forbidden {
        layer: "saga",
        libraries: &["getrandom", "rand", "rustix"],
        reason: "chance and time come in through the engine's traits, so that a run can be repeated to the byte",
    },
    Forbidden {
        layer: "provisioning",
        libraries: &["getrandom", "rand", "rustix", "hyper", "http-body-util"],
        reason: "the use cases reach the world through the platform's traits alone",
    },
    Forbidden {
        layer: "config",
        libraries: &["tokio", "futures", "async-trait"],
        reason: "configuration is text in, values or problems out",
    },
];

impl Forbidden {
    pub(crate) fn of(layer: &Layer) -> impl Iterator<Item = &'static Self> {
        FORBIDDEN.iter().filter(move |rule| rule.layer == layer.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Workspace, read};
    use std::collections::BTreeSet;

    #[test]
    fn layers_point_one_way() {
        for (index, layer) in LAYERS.iter().enumerate() {
            for name in layer.names {
                assert!(
                    LAYERS[..index].iter().any(|inner| inner.name == *name),
                    "{} names {name}, which does not stand before it",
                    layer.name
                );
            }
            for name in layer.tests_name {
                assert!(LAYERS.iter().any(|other| other.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn forbidden_libraries_are_of_layers_that_exist() {
        for rule in FORBIDDEN {
            assert!(LAYERS.iter().any(|layer| layer.name == rule.layer), "{}", rule.layer);
        }
    }

    /// cargo-deny holds the same owners against the whole graph: a driver that comes in through somebody else's crate.
    #[test]
    fn deny_toml_has_no_other_owners() {
        #[derive(serde::Deserialize)]
        struct Deny {
            bans: Bans,
        }
        #[derive(serde::Deserialize)]
        struct Bans {
            deny: Vec<Ban>,
        }
        #[derive(serde::Deserialize)]
        struct Ban {
            #[serde(rename = "crate")]
            library: String,
            #[serde(default)]
            wrappers: BTreeSet<String>,
        }
        let text = read(&Workspace::find().root().join("deny.toml")).expect("deny.toml");
        let deny: Deny = toml::from_str(&text).expect("deny.toml is TOML");
        for ban in &deny.bans.deny {
            if let Some(owner) = OWNERS.iter().find(|owner| owner.library == ban.library) {
                for package in &ban.wrappers {
                    assert!(
                        owner.packages.contains(&package.as_str()) || !package.starts_with("wharf"),
                        "deny.toml lets {package} name {}",
                        ban.library
                    );
                }
            }
        }
    }
}
