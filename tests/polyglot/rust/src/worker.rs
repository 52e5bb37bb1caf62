//! A worker on tonic and the crate `armonik`, whose payload says what it should do (tests/polyglot/README.md).

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use armonik::agent::submit_tasks::RequestItem;
use armonik::client::Agent;
use armonik::server::{RequestContext, WorkerService, WorkerServiceExt};
use armonik::worker::{health_check, process};
use armonik::Output;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::Status;

const LARGE: usize = 63 * 1024 * 1024;

fn failed(error: impl Display) -> Status {
    Status::internal(error.to_string())
}

struct Worker {
    agent: Agent<Channel>,
}

impl WorkerService for Worker {
    async fn health_check(
        self: Arc<Self>,
        _: health_check::Request,
        _: RequestContext,
    ) -> Result<health_check::Response, Status> {
        Ok(health_check::Response::Serving)
    }

    async fn process(
        self: Arc<Self>,
        request: process::Request,
        _: RequestContext,
    ) -> Result<process::Response, Status> {
        let mut task = Task { request, agent: self.agent.clone() };
        Ok(process::Response { output: task.execute().await? })
    }
}

struct Task {
    request: process::Request,
    agent: Agent<Channel>,
}

impl Task {
    async fn execute(&mut self) -> Result<Output, Status> {
        let payload = self.read(&self.request.payload_id).await?;
        let text = String::from_utf8_lossy(&payload).into_owned();
        let (what, argument) = text.split_once(' ').unwrap_or((&text, ""));
        match what {
            "error" => {
                return Ok(Output::Error { details: "refused: 100 % Ünheard of".into() });
            }
            "throw" => return Err(failed("thrown")),
            "exit" => std::process::exit(3),
            "sleep" => std::future::pending().await,
            "large" => {
                self.create(vec![vec![7; LARGE]]).await?;
                self.write(b"large".to_vec()).await?;
            }
            "create" => {
                let count: usize = argument.parse().map_err(failed)?;
                let data = (0..count).map(|number| number.to_string().into_bytes());
                let made = self.create(data.collect()).await?;
                self.write(made.join(" ").into_bytes()).await?;
            }
            "submit" => self.submit().await?,
            _ => {
                let mut names = self.request.data_dependencies.clone();
                names.sort();
                let mut output = payload;
                output.push(b'|');
                for name in names {
                    output.extend(self.read(&name).await?);
                }
                self.write(output).await?;
            }
        }
        Ok(Output::Ok)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.request.data_folder).join(name)
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, Status> {
        tokio::fs::read(self.path(name)).await.map_err(failed)
    }

    async fn create(&mut self, data: Vec<Vec<u8>>) -> Result<Vec<String>, Status> {
        let results = data.into_iter().enumerate().map(|(i, one)| (format!("r{i}"), one));
        let (token, session) = self.identity();
        let made = self.agent.create_results(token, session, results).await.map_err(failed)?;
        Ok(made.into_iter().map(|result| result.result_id).collect())
    }

    async fn write(&mut self, data: Vec<u8>) -> Result<(), Status> {
        let names = self.request.expected_output_keys.clone();
        for name in &names {
            tokio::fs::write(self.path(name), &data).await.map_err(failed)?;
        }
        let (token, session) = self.identity();
        self.agent.notify_result_data(token, session, names).await.map_err(failed)?;
        Ok(())
    }

    async fn submit(&mut self) -> Result<(), Status> {
        let made = self.create(vec![b"child".to_vec()]).await?;
        let item = RequestItem {
            payload_id: made[0].clone(),
            expected_output_keys: self.request.expected_output_keys.clone(),
            ..Default::default()
        };
        let (token, session) = self.identity();
        self.agent.submit_tasks(token, session, None, [item]).await.map_err(failed)?;
        Ok(())
    }

    fn identity(&self) -> (String, String) {
        (self.request.communication_token.clone(), self.request.session_id.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let agent = format!("unix:{}", std::env::var("ComputePlane__AgentChannel__Address")?);
    let worker = Worker { agent: Agent::with_channel(Endpoint::try_from(agent)?.connect_lazy()) };
    let address = std::env::var("ComputePlane__WorkerChannel__Address")?;
    if std::fs::exists(&address)? {
        std::fs::remove_file(&address)?;
    }
    let listener = UnixListenerStream::new(UnixListener::bind(address)?);
    Server::builder().add_service(worker.worker_server()).serve_with_incoming(listener).await?;
    Ok(())
}
