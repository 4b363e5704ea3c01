//! Draws a prompt and writes the pictures.
//!
//! ```sh
//! cargo run --locked -p sakuga-client --example generate -- "1girl, fox_ears, snow"
//! ```

use sakuga_client::{Client, DEFAULT_ADDRESS, EventKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "1girl, solo".to_owned());
    let address = std::env::var("SAKUGA_SERVER").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;
    let mut generation = client.generation().xml(prompt).seed(42).start().await?;
    while let Some(event) = generation.next_event().await? {
        match event.kind {
            EventKind::Step(step) => println!("step {} of {}", step.index, step.total),
            EventKind::Completed(completed) => {
                for picture in &completed.pictures {
                    let name = format!("picture-{}.png", picture.image_index);
                    std::fs::write(&name, &picture.bytes)?;
                    println!("{name}: {}x{}", picture.width, picture.height);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
