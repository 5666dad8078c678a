//! `tidemill config`: what is set, and which file, variable or default set it.

use base::Problem;

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print a setting, where it came from, and what it overrode
    Explain {
        /// For example broker.listen
        key: String,
    },
    /// Print every setting and where it came from
    Show,
    /// Print all settings with their defaults and comments, as a tidemill.yaml to start from
    Template,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if matches!(args.command, Command::Template) {
        print!("{}", project::DEFAULTS_YAML);
        return Ok(());
    }
    let settings = &context.project()?.settings;
    match args.command {
        Command::Explain { key } => {
            let text =
                project::explain(settings, &key).map_err(|error| Box::new(error) as Box<dyn Problem>)?;
            print!("{text}");
        }
        Command::Show if context.is_json() => println!("{:#}", project::show_json(settings)),
        Command::Show => print!("{}", project::show(settings)),
        Command::Template => {}
    }
    Ok(())
}
