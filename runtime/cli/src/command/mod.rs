//! One file for each verb: its arguments, and what it does with them. A verb returns the exit status of the process, or a
//! `Failure` that is printed here, once.

pub mod attach;
pub mod check;
pub mod completions;
pub mod cp;
pub mod debug;
pub mod events;
pub mod exec;
pub mod explain;
pub mod generate;
pub mod inspect;
pub mod install;
pub mod kill;
pub mod logs;
pub mod man;
pub mod plan;
pub mod port_forward;
pub mod ps;
pub mod restart;
pub mod rm;
pub mod run;
pub mod serve;
pub mod set;
pub mod stats;
pub mod stop;
pub mod up;
pub mod version;
pub mod wait;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use dwell::layout::Layout;

use crate::args::{Cli, Command};
use crate::failure::{DWELL_FAILED, Failure};

/// What a verb comes to.
pub type Outcome = Result<u8, Failure>;

/// The command line, from arguments to exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(run::arguments(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let layout = Layout::new(cli.state_dir);
    match dispatch(cli.command, layout) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.status())
        }
    }
}

/// Help and version are no errors; a mistyped command line is dwell's 125, since 1 and 2 may be a member's.
fn usage(error: &clap::Error) -> ExitCode {
    _ = error.print();
    ExitCode::from(if error.use_stderr() { DWELL_FAILED } else { 0 })
}

fn dispatch(command: Command, layout: Layout) -> Outcome {
    match command {
        Command::Run(args) => run::run(*args, &layout),
        Command::Ps(args) => on_runtime(ps::run(args, &layout)),
        Command::Logs(args) => on_runtime(logs::run(args, &layout)),
        Command::Exec(args) => on_runtime(exec::run(args, &layout)),
        Command::Stop(args) => on_runtime(stop::run(args, &layout)),
        Command::Kill(args) => on_runtime(kill::run(args, &layout)),
        Command::Attach(args) => on_runtime(attach::run(args, &layout)),
        Command::Debug(args) => on_runtime(debug::run(args, &layout)),
        Command::Cp(args) => on_runtime(cp::run(args, &layout)),
        Command::PortForward(args) => on_runtime(port_forward::run(args, &layout)),
        Command::Stats(args) => on_runtime(stats::run(args, &layout)),
        Command::Top(args) => on_runtime(stats::top(args, &layout)),
        Command::Wait(args) => on_runtime(wait::run(args, &layout)),
        Command::Restart(args) => on_runtime(restart::run(args, &layout)),
        Command::Rm(args) => on_runtime(rm::run(args, &layout)),
        Command::Inspect(args) => on_runtime(inspect::run(args, &layout)),
        Command::Set(args) => on_runtime(set::run(args, &layout)),
        Command::Up(args) => on_runtime(up::run(args, &layout)),
        Command::Install(args) => install::install(args),
        Command::Uninstall(args) => install::uninstall(args),
        Command::Generate(args) => on_runtime(generate::run(args, &layout)),
        Command::Events(args) => on_runtime(events::run(args, &layout)),
        Command::Plan(args) => plan::run(args, &layout),
        Command::Check(args) => check::run(args, &layout),
        Command::Explain(args) => explain::run(args),
        Command::Serve(args) => serve::run(args, layout),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Version(args) => on_runtime(version::run(args, &layout)),
    }
}

/// Runs a verb on a runtime of one thread: a command is a handful of waits, and starting threads would cost more than it
/// does.
fn on_runtime(verb: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::new("start the runtime").caused_by(&e))?.block_on(verb)
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
