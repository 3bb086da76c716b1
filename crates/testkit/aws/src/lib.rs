//! A stand-in for ECS, ELBv2 and the EC2 calls that Wharf makes, on the wire: for tests, and for trying things out without an account.
