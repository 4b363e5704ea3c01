//! Checks a prompt on the server, and prints the findings and the tokens that each text encoder reads.
//!
//! ```sh
//! cargo run --locked -p sakuga-client --example validate -- prompt.xml
//! ```

use sakuga_client::proto::prompt::v1::ValidatePromptRequest;
use sakuga_client::proto::prompt::v1::validate_prompt_request::Prompt;
use sakuga_client::{Client, DEFAULT_ADDRESS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => "<character_1><gender>1girl</gender></character_1>".to_owned(),
    };
    let address = std::env::var("SAKUGA_SERVER").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;
    let request = ValidatePromptRequest { prompt: Some(Prompt::Xml(text)), ..Default::default() };
    let answer = client.prompts().validate_prompt(request).await.map_err(|status| client.explain(&status))?;
    let report = answer.into_inner();
    for finding in &report.diagnostics {
        println!("{}:{}: {} [{}]", finding.line, finding.column, finding.message, finding.code);
    }
    for count in &report.token_counts {
        println!("{}: {} of {} tokens", count.encoder, count.tokens, count.limit);
    }
    println!("{}", if report.valid { "valid" } else { "not valid" });
    Ok(())
}
