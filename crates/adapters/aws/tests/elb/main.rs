//! Target groups and listener rules, with the real SDK against the simulated load balancers.

mod faults;
mod health;
mod registering;
mod rules;
mod support;
mod withdrawing;
