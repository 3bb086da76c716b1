//! `cargo xtask layers`: dependencies point one way, and a library with an owner is named by its owner alone.
//!
//! Only what a `Cargo.toml` names is looked at: that is where a wrong dependency begins. The rules are in `rules`, as data.

mod rules;

use serde::Deserialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    workspace::{Workspace, output},
};
use rules::{Forbidden, LAYERS, Layer, OWNERS, Owner};

/// What `cargo metadata --no-deps` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Graph {
    workspace_root: PathBuf,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    /// The package's own name, whatever it is renamed to.
    name: String,
    kind: Option<Kind>,
}

/// Absent for a normal dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Dev,
    Build,
}

/// A rule that is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    package: String,
    what: String,
    why: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}\n    because {}", self.package, self.what, self.why)
    }
}

/// Checks the workspace and says what is wrong with it.
pub(crate) fn run(workspace: &Workspace) -> Result<bool, Error> {
    let json = output(&mut workspace.cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let graph: Graph = serde_json::from_slice(&json).map_err(Error::Metadata)?;
    let problems = check(&graph);
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("{} packages keep to their layers", graph.packages.len());
    }
    Ok(problems.is_empty())
}

fn check(graph: &Graph) -> Vec<Problem> {
    graph
        .packages
        .iter()
        .flat_map(|package| check_package(graph, package))
        .collect()
}

fn check_package(graph: &Graph, package: &Package) -> Vec<Problem> {
    let problem = |what: String, why| Problem {
        package: package.name.clone(),
        what,
        why,
    };
    let Some(layer) = graph.layer_of(package) else {
        return vec![problem(
            format!("is in no layer: {}", graph.folder_of(package).display()),
            "every package has its place in xtask/src/layers/rules.rs, or its dependencies go unchecked",
        )];
    };
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        if let Some(named) = graph.layer_named(&dependency.name) {
            if !layer.may_name(named, dependency.kind) {
                let place = if dependency.kind == Some(Kind::Dev) {
                    " in its tests"
                } else {
                    ""
                };
                problems.push(problem(
                    format!("({}) names {} ({}){place}", layer.name, dependency.name, named.name),
                    layer.reason,
                ));
            }
            continue;
        }
        problems.extend(
            OWNERS
                .iter()
                .filter(|owner| owner.owns(&dependency.name) && !owner.packages.contains(&package.name.as_str()))
                .map(|owner| {
                    let names = owner.packages.join(", ");
                    problem(
                        format!("names {}, which only {names} may", dependency.name),
                        owner.reason,
                    )
                }),
        );
        problems.extend(
            Forbidden::of(layer)
                .filter(|rule| dependency.kind != Some(Kind::Dev) && rule.libraries.contains(&dependency.name.as_str()))
                .map(|rule| problem(format!("({}) names {}", layer.name, dependency.name), rule.reason)),
        );
    }
    problems
}

impl Graph {
    /// A package's folder, from the root.
    fn folder_of<'a>(&self, package: &'a Package) -> &'a Path {
        let folder = package.manifest_path.parent().unwrap_or(&package.manifest_path);
        folder.strip_prefix(&self.workspace_root).unwrap_or(folder)
    }

    fn layer_of(&self, package: &Package) -> Option<&'static Layer> {
        let folder = self.folder_of(package);
        LAYERS.iter().find(|layer| layer.has(folder))
    }

    /// The layer of a package of the workspace; `None` if the name is somebody else's.
    fn layer_named(&self, name: &str) -> Option<&'static Layer> {
        let package = self.packages.iter().find(|package| package.name == name)?;
        self.layer_of(package)
    }
}

impl Layer {
    /// Whether a folder is this layer's: its own, or one below it where the rule ends in `/*`.
    fn has(&self, folder: &Path) -> bool {
        self.folder.strip_suffix("/*").map_or_else(
            || folder == Path::new(self.folder),
            |parent| folder.parent() == Some(Path::new(parent)),
        )
    }

    fn may_name(&self, other: &Self, kind: Option<Kind>) -> bool {
        self.names.contains(&other.name) || (kind == Some(Kind::Dev) && self.tests_name.contains(&other.name))
    }
}

impl Owner {
    fn owns(&self, library: &str) -> bool {
        self.library
            .strip_suffix('*')
            .map_or(library == self.library, |prefix| library.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Named = (&'static str, Option<Kind>);

    /// A workspace with these packages: name, folder, and what each names.
    fn graph(packages: &[(&str, &str, &[Named])]) -> Graph {
        let packages = packages
            .iter()
            .map(|(name, folder, dependencies)| Package {
                name: (*name).to_owned(),
                manifest_path: Path::new("/root").join(folder).join("Cargo.toml"),
                dependencies: dependencies
                    .iter()
                    .map(|(name, kind)| Dependency {
                        name: (*name).to_owned(),
                        kind: *kind,
                    })
                    .collect(),
            })
            .collect();
        Graph {
            workspace_root: "/root".into(),
            packages,
        }
    }

    fn said(graph: &Graph) -> Vec<String> {
        check(graph)
            .iter()
            .map(|problem| format!("{} {}", problem.package, problem.what))
            .collect()
    }

    const NORMAL: Option<Kind> = None;
    const DEV: Option<Kind> = Some(Kind::Dev);

    #[test]
    fn what_points_inward_is_right() {
        let graph = graph(&[
            ("wharf-domain", "crates/domain", &[("serde", NORMAL)]),
            (
                "wharf-saga",
                "crates/saga",
                &[("wharf-domain", NORMAL), ("wharf-testkit", DEV)],
            ),
            (
                "wharf-testkit",
                "crates/testkit",
                &[("wharf-saga", NORMAL), ("wharf-domain", NORMAL)],
            ),
            (
                "wharf-sqlite",
                "crates/adapters/sqlite",
                &[("wharf-saga", NORMAL), ("rusqlite", NORMAL)],
            ),
            (
                "wharf",
                "crates/entrypoints/cli",
                &[("wharf-sqlite", NORMAL), ("wharf-saga", NORMAL)],
            ),
        ]);
        assert_eq!(said(&graph), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_dependency_is_named() {
        let graph = graph(&[
            (
                "wharf-domain",
                "crates/domain",
                &[("wharf-saga", NORMAL), ("tokio", NORMAL)],
            ),
            ("wharf-saga", "crates/saga", &[("wharf-testkit", NORMAL)]),
            ("wharf-testkit", "crates/testkit", &[]),
            (
                "wharf-edge",
                "crates/adapters/edge",
                &[("wharf-sqlite", NORMAL), ("rusqlite", NORMAL)],
            ),
            ("wharf-sqlite", "crates/adapters/sqlite", &[("wharf-edge", DEV)]),
            ("wharf-http", "crates/entrypoints/http", &[("wharf-sqlite", NORMAL)]),
            (
                "wharf-provisioning",
                "crates/provisioning",
                &[("aws-sdk-ecs", NORMAL), ("wharf-edge", Some(Kind::Build))],
            ),
            ("wharf-storefront", "examples/storefront", &[("wharf-domain", NORMAL)]),
        ]);
        assert_eq!(
            said(&graph),
            [
                "wharf-domain (domain) names wharf-saga (saga)",
                "wharf-domain (domain) names tokio",
                "wharf-saga (saga) names wharf-testkit (testkit)",
                "wharf-edge (adapter) names wharf-sqlite (adapter)",
                "wharf-edge names rusqlite, which only wharf-sqlite, wharf-storefront, wharf-benches may",
                "wharf-sqlite (adapter) names wharf-edge (adapter) in its tests",
                "wharf-http (http) names wharf-sqlite (adapter)",
                "wharf-provisioning names aws-sdk-ecs, which only wharf-aws may",
                "wharf-provisioning (provisioning) names wharf-edge (adapter)",
                "wharf-storefront (storefront) names wharf-domain (domain)",
            ]
        );
    }

    #[test]
    fn a_package_without_a_layer_is_a_problem() {
        let graph = graph(&[("wharf-misc", "crates/misc", &[])]);
        assert_eq!(said(&graph), ["wharf-misc is in no layer: crates/misc"]);
    }
}
