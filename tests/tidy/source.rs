//! What the checks read: the repository's Rust files as text, tokens, paths and marked spans.
//!
//! A path is found wherever it is written: in a `use` tree (groups, nested groups, renames), in code, inside a macro's
//! arguments. Comments and strings are no paths. Lives here: reading. Does not: any rule.

use proc_macro2::{LineColumn, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, UseTree};

/// The folders tidy reads, from the repository's top.
const ROOTS: [&str; 4] = ["appliance/src", "replicate/src", "replicate/tests", "tests"];

/// One untidy place, ready for a person: `file:line: what, why, what to do`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// The repository as the checks see it.
pub struct Tree {
    pub sources: Vec<Source>,
    /// Every file and folder that is not built or fetched, from the top, without a trailing slash.
    pub paths: BTreeSet<String>,
    /// The text of `appliance/ARCHITECTURE.md`.
    pub architecture: Option<String>,
}

impl Tree {
    pub fn of_this_repository() -> Tree {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut paths = BTreeSet::new();
        walk(&top, "", &mut paths);
        let is_rust = |path: &&String| path.ends_with(".rs") && ROOTS.iter().any(|root| path.starts_with(root));
        let sources = paths.iter().filter(is_rust).map(|path| Source::read(&top, path)).collect();
        Tree { sources, architecture: fs::read_to_string(top.join("appliance/ARCHITECTURE.md")).ok(), paths }
    }
}

fn walk(top: &Path, under: &str, paths: &mut BTreeSet<String>) {
    let entries = fs::read_dir(top.join(under)).unwrap_or_else(|error| panic!("cannot list {under:?}: {error}"));
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if ["target", ".git", "node_modules", "dist"].contains(&name.as_str()) {
            continue;
        }
        let path = if under.is_empty() { name } else { format!("{under}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(top, &path, paths);
        }
        paths.insert(path);
    }
}

/// A place in a file; lines count from 1.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    start: LineColumn,
    end: LineColumn,
}

impl Region {
    fn of(thing: &impl Spanned) -> Region {
        Region { start: thing.span().start(), end: thing.span().end() }
    }

    pub fn holds(&self, at: LineColumn) -> bool {
        self.start <= at && at < self.end
    }
}

/// A path as written, `use` trees spelled out: `use crate::{a, b::c as d}` is `crate::a` and `crate::b::c`.
#[derive(Debug)]
pub struct WrittenPath {
    pub segments: Vec<String>,
    pub at: LineColumn,
    pub is_use: bool,
}

/// A function with a body; `name` carries the type it belongs to.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub region: Region,
    pub line: usize,
    pub lines: usize,
}

/// One Rust file, taken apart.
pub struct Source {
    pub path: String,
    pub lines: Vec<String>,
    pub tokens: Vec<(String, LineColumn)>,
    pub written: Vec<WrittenPath>,
    pub functions: Vec<Function>,
    pub enums: Vec<(String, Vec<(String, usize)>)>,
    inline_modules: Vec<(String, Region)>,
    tests: Vec<Region>,
}

impl Source {
    fn read(top: &Path, path: &str) -> Source {
        let text = fs::read_to_string(top.join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        Source::parse(path, &text)
    }

    pub fn parse(path: &str, text: &str) -> Source {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: not Rust: {error}"));
        let mut marks = Marks::default();
        marks.visit_file(&file);
        // Parsed from the same text, so the places of the tokens and of the syntax tree are comparable.
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut written = marks.uses;
        written.extend(inline_paths(&tokens, &marks.use_items));
        Source {
            path: path.to_string(),
            lines: text.lines().map(str::to_string).collect(),
            tokens,
            written,
            functions: marks.functions,
            enums: marks.enums,
            inline_modules: marks.inline_modules,
            tests: marks.tests,
        }
    }

    pub fn finding(&self, line: usize, text: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, text: text.into() }
    }

    /// Whether this place is compiled for tests only: `cfg(test)`, `#[test]`, or a file of a test tier.
    pub fn is_test(&self, at: LineColumn) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.tests.iter().any(|region| region.holds(at))
    }

    /// The module of the package's `src` that this file is: `src/audio/wav.rs` is `[audio, wav]`, the root is empty.
    pub fn file_module(&self) -> Vec<String> {
        let inside = self.path.split_once("/src/").map_or(self.path.as_str(), |(_, rest)| rest);
        let mut module: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_string).collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        module
    }

    /// The module that holds this place, with the modules written inside the file.
    pub fn module_at(&self, at: LineColumn) -> Vec<String> {
        let mut module = self.file_module();
        module.extend(self.inline_modules.iter().filter(|(_, region)| region.holds(at)).map(|(name, _)| name.clone()));
        module
    }

    /// Whether a comment stands above this line: past attributes and past the beginning of a chain of calls.
    pub fn comment_above(&self, line: usize) -> Option<String> {
        let mut above = line - 1;
        let is_chain = |text: &str| text.starts_with('.') || text.starts_with(')') || text.starts_with('}');
        while above > 0 && is_chain(self.lines[above].trim_start()) {
            above -= 1;
        }
        let mut comment = Vec::new();
        for text in self.lines[..above].iter().rev().map(|text| text.trim_start()) {
            match text {
                text if text.starts_with("//") => comment.push(text),
                text if text.starts_with("#[") && comment.is_empty() => {}
                _ => break,
            }
        }
        (!comment.is_empty()).then(|| comment.join("\n"))
    }
}

/// Every token in reading order with the place it starts at; groups are opened.
fn flatten(stream: TokenStream, tokens: &mut Vec<(String, LineColumn)>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let brackets = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                tokens.push((brackets.0.to_string(), group.span_open().start()));
                flatten(group.stream(), tokens);
                tokens.push((brackets.1.to_string(), group.span_close().start()));
            }
            other => tokens.push((other.to_string(), other.span().start())),
        }
    }
}

/// Runs of `name::name` outside `use` items, also those inside the arguments of macros.
fn inline_paths(tokens: &[(String, LineColumn)], use_items: &[Region]) -> Vec<WrittenPath> {
    let is_name = |text: &str| text.starts_with(|first: char| first.is_alphabetic() || first == '_');
    let text = |index: usize| tokens.get(index).map_or("", |token| token.0.as_str());
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if !is_name(text(index)) || use_items.iter().any(|item| item.holds(tokens[index].1)) {
            index += 1;
            continue;
        }
        let at = tokens[index].1;
        let mut segments = vec![text(index).to_string()];
        while text(index + 1) == ":" && text(index + 2) == ":" && is_name(text(index + 3)) {
            segments.push(text(index + 3).to_string());
            index += 3;
        }
        index += 1;
        if segments.len() > 1 {
            found.push(WrittenPath { segments, at, is_use: false });
        }
    }
    found
}

/// What the syntax tree knows and the tokens do not.
#[derive(Default)]
struct Marks {
    uses: Vec<WrittenPath>,
    use_items: Vec<Region>,
    tests: Vec<Region>,
    inline_modules: Vec<(String, Region)>,
    functions: Vec<Function>,
    enums: Vec<(String, Vec<(String, usize)>)>,
    owner: String,
}

impl Marks {
    fn attributes(&mut self, attributes: &[Attribute], whole: Region) {
        if attributes.iter().any(is_test_attribute) {
            self.tests.push(whole);
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block, whole: Region) {
        let (line, end) = (signature.span().start().line, body.span().end().line);
        let name = format!("{}{}", self.owner, signature.ident);
        self.functions.push(Function { name, region: whole, line, lines: end - line + 1 });
    }

    fn owned_by(&mut self, owner: String, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.owner, format!("{owner}::"));
        visit(self);
        self.owner = before;
    }
}

fn is_test_attribute(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            // `cfg(not(test))` is what ships: only a `test` that nothing negates makes test code.
            let mut words = Vec::new();
            flatten(list.tokens.clone(), &mut words);
            words.iter().any(|word| word.0 == "test") && !words.iter().any(|word| word.0 == "not" || word.0 == "any")
        }
        Meta::List(list) => list.path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::NameValue(_) => false,
    }
}

impl<'ast> Visit<'ast> for Marks {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[Attribute] = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Trait(item) => &item.attrs,
            syn::Item::Type(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => &[],
        };
        self.attributes(attributes, Region::of(item));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.inline_modules.push((item.ident.to_string(), Region::of(item)));
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_items.push(Region::of(item));
        spell_out(&item.tree, &mut Vec::new(), &mut self.uses);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        let variants = item.variants.iter().map(|v| (v.ident.to_string(), v.ident.span().start().line)).collect();
        self.enums.push((item.ident.to_string(), variants));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, Region::of(item));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.attributes(&item.attrs, Region::of(item));
        self.function(&item.sig, &item.block, Region::of(item));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body, Region::of(item));
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.owned_by(owner.unwrap_or_default(), |marks| visit::visit_item_impl(marks, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.owned_by(item.ident.to_string(), |marks| visit::visit_item_trait(marks, item));
    }
}

fn spell_out(tree: &UseTree, before: &mut Vec<String>, uses: &mut Vec<WrittenPath>) {
    let mut end = |before: &[String], name: String| {
        // `a::{self}` is `a`.
        let segments = before.iter().cloned().chain((name != "self" || before.is_empty()).then_some(name)).collect();
        uses.push(WrittenPath { segments, at: tree.span().start(), is_use: true });
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            spell_out(&path.tree, before, uses);
            before.pop();
        }
        UseTree::Name(name) => end(before, name.ident.to_string()),
        UseTree::Rename(rename) => end(before, rename.ident.to_string()),
        UseTree::Glob(_) => end(before, "*".to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|item| spell_out(item, before, uses)),
    }
}

#[test]
fn a_use_tree_is_spelled_out() {
    let source = Source::parse("appliance/src/a.rs", "use crate::{b, c::{self, d as e}};\nuse tokio as t;\n");

    let paths: Vec<String> = source.written.iter().map(|path| path.segments.join("::")).collect();

    assert_eq!(paths, ["crate::b", "crate::c", "crate::c::d", "tokio"]);
}

#[test]
fn a_path_inside_a_macro_is_a_path_and_one_in_a_string_is_not() {
    let source = Source::parse("appliance/src/a.rs", "fn f() { info!(at = a::b(), \"c::d\"); /* e::f */ }\n");

    let paths: Vec<String> = source.written.iter().map(|path| path.segments.join("::")).collect();

    assert_eq!(paths, ["a::b"]);
}

#[test]
fn only_code_for_tests_is_exempt_as_test_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod m {\n fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n#[test]\nfn d() {}\n";
    let source = Source::parse("appliance/src/a.rs", text);

    let exempt: Vec<&str> =
        source.functions.iter().filter(|f| source.is_test(f.region.start)).map(|f| f.name.as_str()).collect();

    assert_eq!(exempt, ["b", "d"]);
}
