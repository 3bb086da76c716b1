//! The links of the documentation: whatever a Markdown file of the repository points to inside the repository is there,
//! headings included. The world outside is not asked.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use crate::{
    error::Error,
    workspace::{Workspace, read},
};

/// A link that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    file: PathBuf,
    line: usize,
    target: String,
    why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} {}", self.file.display(), self.line, self.target, self.why)
    }
}

/// What a Markdown file points to, and what can be pointed to in it.
#[derive(Debug, Default)]
struct Page {
    /// With the line each stands on.
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

/// Checks every Markdown file, and says which links are broken.
pub(crate) fn run(workspace: &Workspace) -> Result<bool, Error> {
    let root = workspace.root();
    let mut pages = BTreeMap::new();
    for file in markdown_files(root)? {
        let page = parse(&read(&root.join(&file))?);
        pages.insert(file, page);
    }
    let broken = check(&pages, |path| root.join(path).exists());
    for link in &broken {
        println!("{link}");
    }
    if broken.is_empty() {
        let links: usize = pages.values().map(|page| page.links.len()).sum();
        println!("{links} links in {} files lead somewhere", pages.len());
    }
    Ok(broken.is_empty())
}

/// Every `.md` below the root, hidden folders and what is built left aside.
fn markdown_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| Error::Read {
            path: folder.clone(),
            source,
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            let path = entry.path();
            // A symbolic link is no folder here: what it leads to is looked at where it is.
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md")
                && let Ok(path) = path.strip_prefix(root)
            {
                files.push(path.to_owned());
            }
        }
    }
    Ok(files)
}

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    let line_of = |offset: usize| text[..offset].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push((line_of(range.start), dest_url.into_string()));
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let line = line_of(range.start);
                page.links
                    .extend(attributes(&html, &["src", "href"]).map(|target| (line, target.to_owned())));
                page.anchors
                    .extend(attributes(&html, &["id", "name"]).map(str::to_owned));
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some(heading) = heading.take() {
                    page.add_heading(&heading);
                }
            }
            _ => {}
        }
    }
    page
}

/// The values of these attributes in a piece of HTML.
fn attributes<'a>(html: &'a str, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(move |name| {
        html.match_indices(&format!(" {name}=\""))
            .map(|(start, found)| start + found.len())
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|start| html[start..].split_once('"').map(|(value, _)| value))
    })
}

impl Page {
    /// A heading can be pointed to as forges do it: small letters, hyphens for spaces, and no other signs; the second of the same name with `-1`.
    fn add_heading(&mut self, heading: &str) {
        let slug: String = heading
            .trim()
            .chars()
            .flat_map(char::to_lowercase)
            .filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c => c.is_alphanumeric().then_some(c),
            })
            .collect();
        let mut unique = slug.clone();
        let mut number = 0;
        while !self.anchors.insert(unique) {
            number += 1;
            unique = format!("{slug}-{number}");
        }
    }
}

fn check(pages: &BTreeMap<PathBuf, Page>, exists: impl Fn(&Path) -> bool) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (file, page) in pages {
        for (line, link) in &page.links {
            if let Some(why) = fault(pages, &exists, file, link) {
                broken.push(Broken {
                    file: file.clone(),
                    line: *line,
                    target: link.clone(),
                    why,
                });
            }
        }
    }
    broken
}

/// Why a link of a file leads nowhere, if it does.
fn fault(
    pages: &BTreeMap<PathBuf, Page>,
    exists: impl Fn(&Path) -> bool,
    file: &Path,
    link: &str,
) -> Option<&'static str> {
    if is_elsewhere(link) {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        file.to_owned()
    } else {
        let Some(target) = resolve(file, path) else {
            return Some("leads out of the repository");
        };
        if !exists(&target) {
            return Some("is not there");
        }
        target
    };
    let page = pages.get(&target)?;
    (!anchor.is_empty() && !page.anchors.contains(anchor)).then_some("has no such heading")
}

/// Whether a link has a scheme (`https:`, `mailto:`), or a host.
fn is_elsewhere(link: &str) -> bool {
    let scheme = link.split(['/', '#', '?']).next().unwrap_or_default();
    scheme.contains(':') || link.starts_with("//")
}

/// A relative link's path from the root; one that begins with `/` counts from the root. `None` if it is not below it.
fn resolve(file: &Path, link: &str) -> Option<PathBuf> {
    let start = file.parent().filter(|_| !link.starts_with('/'));
    let relative = Path::new(link.trim_start_matches('/'));
    let mut path = PathBuf::new();
    for component in start
        .into_iter()
        .flat_map(Path::components)
        .chain(relative.components())
    {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if !path.pop() => return None,
            _ => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with the links of `docs/page.md`, beside a `README.md` with two headings.
    fn faults(text: &str) -> Vec<String> {
        let mut pages = BTreeMap::new();
        pages.insert(PathBuf::from("docs/page.md"), parse(text));
        pages.insert(
            PathBuf::from("README.md"),
            parse("# Wharf: `up`\n\n## Notes\n\n## Notes\n"),
        );
        let there = ["docs/page.md", "README.md", "docs", "docs/picture.png"];
        check(&pages, |path| there.iter().any(|known| Path::new(known) == path))
            .iter()
            .map(|broken| format!("{} {} {}", broken.line, broken.target, broken.why))
            .collect()
    }

    #[test]
    fn what_is_there_is_found() {
        let text = "# Page\n[a](../README.md) [b](../README.md#wharf-up) [c](/README.md#notes-1) [d](#page)\n\
                    ![e](picture.png) [f](https://example.com/nowhere) [g](mailto:a@b.c) [h][ref] [folder](../docs/)\n\n\
                    <img alt=\"x\" src=\"picture.png\">\n\n[ref]: ../README.md\n";
        assert_eq!(faults(text), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let text = "# Page\n\n[a](gone.md)\n[b](../README.md#nothing) ![c](gone.png)\n[d](../../etc/passwd)\n\n<img src=\"lost.png\">\n";
        assert_eq!(
            faults(text),
            [
                "3 gone.md is not there",
                "4 ../README.md#nothing has no such heading",
                "4 gone.png is not there",
                "5 ../../etc/passwd leads out of the repository",
                "7 lost.png is not there",
            ]
        );
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(
            faults("`[a](gone.md)`\n\n```\n[b](gone.md)\n```\n"),
            Vec::<String>::new()
        );
    }
}
