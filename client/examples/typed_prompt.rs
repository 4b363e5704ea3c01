//! Builds a prompt from typed values instead of text, and draws it.
//!
//! ```sh
//! cargo run --locked -p sakuga-client --example typed_prompt
//! ```

use sakuga_client::{Client, DEFAULT_ADDRESS, EventKind};
use sakuga_schema::{Character, Gender, GeneralTags, Prompt, TagList};

fn tags(tags: &[&str]) -> TagList {
    TagList::new(tags.iter().map(|tag| (*tag).to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = Prompt {
        characters: vec![Character {
            n: "fox".to_owned(),
            gender: Some(Gender::Girl),
            appearance: tags(&["fox_ears", "orange_hair"]),
            clothing: tags(&["kimono"]),
            ..Character::default()
        }],
        general_tags: Some(GeneralTags { count: tags(&["1girl"]), style: tags(&["anime"]), ..GeneralTags::default() }),
        caption: Some("A fox girl in the snow.".to_owned()),
    };
    println!("{}", prompt.to_xml());
    let address = std::env::var("SAKUGA_SERVER").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;
    let mut generation = client.generation().prompt(&prompt).seed(7).start().await?;
    while let Some(event) = generation.next_event().await? {
        if let EventKind::Completed(completed) = event.kind {
            std::fs::write("fox.png", &completed.pictures[0].bytes)?;
            println!("fox.png: {} bytes", completed.pictures[0].bytes.len());
        }
    }
    Ok(())
}
