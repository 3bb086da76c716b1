//! A stand-in for AWS on the wire: ECS, ELBv2, the EC2 calls that ask for addresses, CloudWatch Logs, STS and a little of IAM.
//!
//! Real SDK clients speak to it, by one endpoint URL for all services. It has state, time, faults and eventual consistency; what
//! AWS refuses it refuses, in AWS's words. It knows nothing of Wharf: what both believed would go unnoticed.
//!
//! ```no_run
//! use std::time::Duration;
//! use wharf_aws_simulator::{Fault, Mishap, Options, Simulator, TargetGroup, TaskDefinition};
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::start(Options::default()).await?;
//! simulator.cluster("auth-cluster");
//! simulator.task_definition(&TaskDefinition::fargate("auth-api-task").container("auth", 8080))?;
//! let group = simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
//! simulator.fault(Fault::on("RunTask", Mishap::AnswerLost).once());
//! // … clients at `simulator.url()` call RunTask …
//! simulator.advance(Duration::from_secs(24));
//! assert_eq!(simulator.tasks()[0].status, "RUNNING");
//! # drop(group);
//! # Ok(())
//! # }
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `simulator`, `resources`, `plan` | what a test holds, puts in, and scripts |
//! | `exchange`, `wire` | one request and its answer; AWS's protocols |
//! | `server`, `connector` | the endpoint, by a socket; the same in process, for an SDK's clients |
//! | `core`, `world`, `clock`, `names`, `refusal` | everything there is, its time, its identifiers, how it says no |
//! | `ecs`, `elb`, `ec2`, `logs`, `sts` | the services |
//! | `faults`, `throttle`, `policy` | what goes wrong on order, what comes too fast, what is not allowed |
//! | `weather`, `misfortune`, `chance` | what goes wrong by itself, as a seed decides |
//! | `calls`, `access` | what was called, and what that needs |
//! | `delivery`, `publisher` | how events reach subscribers, in this process and outside of it |
//! | `inventory`, `control`, `views` | what the program reads at its start, and answers to who looks on |
//! | `serve` | tasks that really answer |

mod access;
mod calls;
mod chance;
mod clock;
mod connector;
mod control;
mod core;
mod delivery;
mod ec2;
mod ecs;
mod elb;
mod exchange;
mod faults;
mod inventory;
mod logs;
mod misfortune;
mod names;
mod plan;
mod policy;
mod publisher;
mod refusal;
mod resources;
mod serve;
mod server;
mod simulator;
mod sts;
mod throttle;
mod views;
mod weather;
mod wire;
mod world;

pub use access::Permission;
pub use calls::Call;
pub use connector::Connector;
pub use delivery::Delivery;
pub use ec2::Ingress;
pub use exchange::Dropped;
pub use faults::{Fault, Mishap};
pub use inventory::Inventory;
pub use plan::{TargetPlan, TaskPlan, Then, Unhealthy};
pub use publisher::Subscriber;
pub use resources::{ContainerInstance, Host, LoadBalancer, SECURITY_GROUP, SUBNETS, TargetGroup, TaskDefinition, VPC};
pub use simulator::{Options, Simulator};
pub use throttle::Throttling;
pub use views::{RuleSeen, TargetSeen, TaskSeen};
pub use weather::{CallWeather, EventWeather, ReadWeather, SIGNATURE_LIVES_FOR, TaskWeather, Weather};
pub use world::Consistency;
