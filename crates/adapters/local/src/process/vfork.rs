//! Starting a program on Linux without copying this one. Nearly all of the crate's `unsafe` is here.
//!
//! What must not be here: whatever can be decided before. A [`Launch`] is complete; this file makes it a process.
//!
//! # Why not `std::process::Command`
//!
//! The parent-death signal has to be asked for by the child itself, between fork and exec. The standard library runs
//! such a hook only after a `fork`, which copies the page tables of the whole parent: measured with a parent of 50 MB,
//! 1.9 ms a start, 1.6 ms of them the parent's own CPU time, and a page fault for each page that the parent touches
//! afterwards. `clone` with `CLONE_VM | CLONE_VFORK` (what `posix_spawn` does inside, which offers no such hook) took
//! 0.05 ms and 0.04 ms, whatever the size. At 300 starts a second that is 1 % of a core, not 50 %.
//!
//! # Why it is sound
//!
//! The child runs in the parent's memory, on a stack of its own, while the calling thread is suspended until the child
//! has called exec or ended. So it has to do what a signal handler has to: no allocation, no locks, no panics, nothing
//! but system calls on memory that was made ready before. The calling thread blocks all signals for its whole life
//! ([`block_signals`]), and the child unblocks them only when each has its default disposition again: no handler of
//! this program ever runs in the child.

use rustix::process::{Pid, Resource, Signal};
use std::{
    ffi::{CString, c_char, c_int, c_void},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use super::launch::{Launch, Stage, Surroundings};

/// What the child does before exec needs less than 4 KiB, unoptimised.
const STACK_BYTES: usize = 64 * 1024;
/// `NSIG` of every Linux that Rust supports, less MIPS.
const SIGNALS: c_int = 64;
const CLOSE_RANGE_CLOEXEC: c_int = 4;

/// A stack for children. They use it one after another: each is done with it when [`spawn`] returns.
pub(super) struct Stack(Box<[u128]>);

impl Stack {
    pub(super) fn new() -> Self {
        Self(vec![0; STACK_BYTES / size_of::<u128>()].into())
    }
}

/// What parent and child share.
struct Plan<'a> {
    launch: &'a Launch,
    surroundings: &'a Surroundings<'a>,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    parent: Pid,
    failed: Option<(Stage, c_int)>,
}

/// Keeps signal handlers away from this thread, for good. To be called before the thread's first [`spawn`].
#[expect(unsafe_code, reason = "rustix has no safe form of sigmask")]
pub(super) fn block_signals() {
    // SAFETY: `all` is a local that both calls get a valid pointer to; both only write or read it.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
    }
}

/// Starts the program in a session of its own, to be killed when the calling *thread* ends. Returns when exec has
/// succeeded, with the process's number and a descriptor that always means this process.
#[expect(unsafe_code, reason = "clone without a copy of memory has no safe form")]
pub(super) fn spawn(
    launch: &Launch,
    surroundings: &Surroundings<'_>,
    stack: &mut Stack,
) -> Result<(Pid, OwnedFd), (Stage, io::Error)> {
    let arguments = pointers(&launch.arguments);
    let environment = pointers(&launch.environment);
    let mut plan = Plan {
        launch,
        surroundings,
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        parent: rustix::process::getpid(),
        failed: None,
    };
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the stack's end is one past its last element, aligned to 16 as every target asks, and nobody else uses
    // the stack meanwhile (`&mut`). `plan` and what it points to live until after the call, which does not return
    // before the child has left this memory (CLONE_VFORK). `pidfd` is where the kernel writes one descriptor, as
    // CLONE_PIDFD says.
    let pid = unsafe {
        let top = stack.0.as_mut_ptr_range().end;
        libc::clone(
            child,
            top.cast(),
            flags,
            (&raw mut plan).cast::<c_void>(),
            &raw mut pidfd,
        )
    };
    let Some(pid) = (pid > 0).then(|| Pid::from_raw(pid)).flatten() else {
        return Err((Stage::Clone, io::Error::last_os_error()));
    };
    // SAFETY: the kernel made this descriptor for us in the call above, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match plan.failed {
        None => Ok((pid, pidfd)),
        Some((stage, code)) => {
            // It has ended already: this only takes its remains away.
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err((stage, io::Error::from_raw_os_error(code)))
        }
    }
}

/// As `execve` wants them: the last one is null.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The child's whole life in this program. It never returns.
#[expect(unsafe_code, reason = "runs between clone and exec")]
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a pointer to its `plan`, and is suspended meanwhile: nobody else uses it.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.failed = Some(become_program(plan));
    // SAFETY: ends this process alone, and runs nothing of the parent's (no destructors, no exit handlers).
    unsafe { libc::_exit(127) }
}

/// Returns only if it failed. Of rustix, only calls are used that are nothing but a system call.
fn become_program(plan: &Plan<'_>) -> (Stage, c_int) {
    match prepare(plan) {
        Ok(()) => {}
        Err(error) => return (Stage::Prepare, error.raw_os_error()),
    }
    if let Err(error) = rustix::process::chdir(plan.launch.directory.as_c_str()) {
        return (Stage::Directory, error.raw_os_error());
    }
    (Stage::Exec, exec(plan))
}

fn prepare(plan: &Plan<'_>) -> rustix::io::Result<()> {
    use rustix::{fs::Mode, io::Errno, process};

    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent ended before that took effect, nobody would tell us any more.
    if process::getppid() != Some(plan.parent) {
        return Err(Errno::SRCH);
    }
    process::setsid()?;
    process::umask(Mode::RWXG | Mode::RWXO);
    process::setrlimit(Resource::Nofile, plan.surroundings.open_files)?;
    standard_streams(plan.surroundings)?;
    default_signals();
    Ok(())
}

/// Makes the three standard streams, and lets exec close every other descriptor, also those that somebody opened
/// without saying so.
#[expect(unsafe_code, reason = "rustix wants an `OwnedFd` for the target of dup2")]
fn standard_streams(streams: &Surroundings<'_>) -> rustix::io::Result<()> {
    for (source, target) in [(streams.input, 0), (streams.output, 1), (streams.output, 2)] {
        // SAFETY: two numbers; in this process 0 to 2 are nobody's but the program's that is about to start. The
        // sources are above 2: Rust's runtime opens those three before `main` where they are missing.
        if unsafe { libc::dup2(source.as_raw_fd(), target) } < 0 {
            return Err(rustix::io::Errno::BADF);
        }
    }
    // SAFETY: three numbers. A kernel before 5.11 does not know the flag; there, what was opened without CLOEXEC stays open.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// What is ignored stays ignored across exec, and what is blocked stays blocked: neither is the program's business
/// (`nohup wharf up`).
#[expect(unsafe_code, reason = "rustix has no sigaction")]
fn default_signals() {
    // The C library's own call refuses the two signals that it uses itself; what Wharf was started by may have ignored those too.
    // A `sigaction` of zeros is the default disposition everywhere; no architecture's is longer than this.
    let default = [0_u64; 8];
    // SAFETY: default dispositions run no code, and they are this process's own (no CLONE_SIGHAND). The kernel only
    // reads `default`. Numbers that cannot be set are refused, with no harm. `none` is a local that both calls get a
    // valid pointer to.
    unsafe {
        for signal in 1..=SIGNALS {
            let bytes_of_mask = SIGNALS as usize / 8;
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<c_void>(),
                bytes_of_mask,
            );
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

#[expect(unsafe_code, reason = "rustix has no stable execve")]
fn exec(plan: &Plan<'_>) -> c_int {
    // SAFETY: three zero-terminated texts or null-terminated lists of them, alive in the suspended parent. The error
    // number stands in the suspended thread's memory, which reads its own only after this.
    unsafe {
        libc::execve(plan.launch.program.as_ptr(), plan.arguments, plan.environment);
        *libc::__errno_location()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Rlimit, WaitId, WaitIdOptions};
    use std::{
        ffi::CStr,
        fs::File,
        io::{PipeReader, Read, pipe},
        os::fd::AsFd,
    };

    /// Starts a program, and gives its descriptor and the end of its output.
    fn start(
        program: &CStr,
        arguments: &[&CStr],
        directory: &CStr,
    ) -> Result<(OwnedFd, PipeReader), (Stage, io::Error)> {
        let null = File::open("/dev/null").unwrap();
        let (reader, writer) = pipe().unwrap();
        let launch = Launch {
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
            environment: vec![c"GREETING=hello".into()],
            directory: directory.into(),
        };
        let surroundings = Surroundings {
            input: null.as_fd(),
            output: writer.as_fd(),
            open_files: Rlimit {
                current: Some(512),
                maximum: Some(512),
            },
        };
        let (_, pidfd) = spawn(&launch, &surroundings, &mut Stack::new())?;
        Ok((pidfd, reader))
    }

    /// Runs a shell script to its end, and gives what it printed and its exit code.
    fn run(script: &CStr) -> (String, Option<i32>) {
        let (pidfd, mut reader) = start(c"/bin/sh", &[c"sh", c"-c", script], c"/").unwrap();
        let mut printed = String::new();
        reader.read_to_string(&mut printed).unwrap();
        let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
            .unwrap()
            .unwrap();
        (printed, status.exit_status())
    }

    #[test]
    fn a_program_gets_what_was_asked_for_and_nothing_else() {
        let (printed, code) = run(c"echo $GREETING $HOME; pwd; umask; ulimit -n; cat; echo to stderr >&2; exit 7");
        assert_eq!(printed, "hello\n/\n0077\n512\nto stderr\n");
        assert_eq!(code, Some(7));
    }

    #[test]
    fn a_program_inherits_no_descriptor() {
        // One that exec would not close by itself.
        let inherited = rustix::io::dup(File::open("/dev/null").unwrap()).unwrap();
        let (printed, _) = run(c"ls /proc/self/fd");
        // `ls` has its three streams, and the folder that it reads.
        assert_eq!(printed, "0\n1\n2\n3\n", "beside {inherited:?}");
    }

    #[test]
    fn signals_are_neither_ignored_nor_blocked() {
        let blocker = std::thread::spawn(|| {
            block_signals();
            run(c"grep -E 'Sig(Blk|Ign)' /proc/self/status")
        });
        let (printed, _) = blocker.join().unwrap();
        assert_eq!(printed, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    }

    #[test]
    fn what_fails_says_where() {
        let attempt = |program, directory| {
            let (stage, error) = start(program, &[c"x"], directory).unwrap_err();
            (stage, error.raw_os_error())
        };
        assert_eq!(attempt(c"/nowhere", c"/"), (Stage::Exec, Some(libc::ENOENT)));
        assert_eq!(attempt(c"/etc", c"/"), (Stage::Exec, Some(libc::EACCES)));
        assert_eq!(attempt(c"/bin/sh", c"/nowhere"), (Stage::Directory, Some(libc::ENOENT)));
    }

    #[test]
    fn a_program_dies_with_the_thread_that_started_it() {
        let starter = std::thread::spawn(|| start(c"/bin/sleep", &[c"sleep", c"3600"], c"/").unwrap());
        let (_, mut reader) = starter.join().unwrap();
        // The end of the output says that the last one who could write is gone.
        assert_eq!(reader.read_to_string(&mut String::new()).unwrap(), 0);
    }
}
