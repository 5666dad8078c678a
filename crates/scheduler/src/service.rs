//! Starting, serving and stopping the scheduler; owns every task of the crate.

use std::{env, fs, path::Path, sync::Arc};

use base::{BoxError, Handle};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    api::{self, Api},
    executor::{Executor, Shared, end_orphans},
    logs::Logs,
    scheduling::{self, Scanner, Scheduling},
    store::Database,
};

pub struct Service {
    listener: TcpListener,
    api: Arc<Api>,
    scheduling: Scheduling,
    scanner: Scanner,
    events: tokio::sync::mpsc::Sender<scheduling::Event>,
}

impl Service {
    /// Ready means: the port is bound, the DAG folder is read, and what an earlier life left is taken up.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let refused = |source| Error::Bind { listen: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let folder = |source| Error::Folder { path: options.state_folder.clone(), source };
        fs::create_dir_all(options.state_folder.join("work")).map_err(folder)?;
        // As the tasks see it, and the same in every life.
        let mark = fs::canonicalize(&options.state_folder).map_err(folder)?.display().to_string();
        let database = Database::open(options.database_url.reveal(), &options.state_folder).await?;
        let orphans = tokio::task::spawn_blocking({
            let mark = mark.clone();
            move || end_orphans(&mark)
        });
        let orphans = orphans.await.unwrap_or(0);
        if orphans > 0 {
            tracing::warn!(orphans, "processes of tasks were left by an earlier life and have been ended");
        }
        let options = Arc::new(options);
        let (events, inbox) = scheduling::channel();
        let logs = Logs::new(&options.state_folder.join("logs"));
        let dags = crate::known::SharedDags::default();
        let executor = Executor::new(Arc::new(Shared {
            path: tasks_path(&options),
            options: options.clone(),
            database: database.clone(),
            dags: dags.clone(),
            logs: logs.clone(),
            api: format!("http://{addr}"),
            mark,
            events: events.clone(),
            http: cloud::http::client(),
        }));
        let (scanner, first) = first_look(Scanner::new(options.clone())).await?;
        let scheduling =
            Scheduling::recover(options.clone(), database.clone(), dags.clone(), executor, inbox, first)
                .await?;
        let heartbeat = scheduling.heartbeat();
        let api = Arc::new(Api { options, database, dags, logs, events: events.clone(), heartbeat });
        let service = Service { listener, api, scheduling, scanner, events };
        Ok(Handle::spawn("scheduler", addr, |stop| service.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut tasks: JoinSet<Result<(), BoxError>> = JoinSet::new();
        let ended = CancellationToken::new();
        tasks.spawn(self.scheduling.run(stop.clone()));
        let (scanner, events, stopped) = (self.scanner, self.events, stop.clone());
        tasks.spawn(async move {
            scanner.run(events, stopped).await;
            Ok(())
        });
        let server = axum::serve(self.listener, api::router(self.api));
        let stopped = stop.clone();
        let served = ended.clone();
        tasks.spawn(async move {
            let stopped = async move {
                tokio::select! { () = stopped.cancelled() => {}, () = served.cancelled() => {} }
            };
            Ok(server.with_graceful_shutdown(stopped).await?)
        });
        // Whichever fails ends the part; in order they only end when they are asked.
        let mut first = Ok(());
        while let Some(joined) = tasks.join_next().await {
            let outcome = joined.map_err(BoxError::from).and_then(|outcome| outcome);
            if outcome.is_err() && first.is_ok() {
                first = outcome;
                ended.cancel();
                if !stop.is_cancelled() {
                    tasks.abort_all();
                }
            }
        }
        first
    }
}

async fn first_look(mut scanner: Scanner) -> Result<(Scanner, scheduling::Scan), Error> {
    let looked = tokio::task::spawn_blocking(move || {
        let scan = scanner.scan();
        (scanner, scan)
    });
    looked.await.map_err(|panic| Error::Store { reason: panic.to_string() })
}

/// The tasks' PATH: our own folder first, so that `tidemill` in a task is this one.
fn tasks_path(options: &Options) -> String {
    let inherited =
        options.environment.get("PATH").cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let own = options.binary_folder.iter().map(|folder| folder.as_path().to_path_buf());
    let all = own.chain(env::split_paths(&inherited));
    env::join_paths(all).map_or(inherited, |path| Path::new(&path).display().to_string())
}
