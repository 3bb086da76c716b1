//! Tasks on ECS, by the real SDK against the simulator: the contract, and everything that goes wrong with tasks.

mod calls;
mod contract;
mod endpoints;
mod failing;
mod finding;
mod ports;
mod reading;
mod site;
mod starts;
mod stopping;
