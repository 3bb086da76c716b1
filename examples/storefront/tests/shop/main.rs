//! The shop as its visitors meet it: the real program, over HTTP, with a database in a temporary folder.

mod admin;
mod browser;
mod buying;
mod life;
mod nonsense;
mod process;
