//! Connects a role to its fleet.

use sakuga_fleet::{Fleet, FleetError, Objects, Role, durability};

use crate::config::FleetConfig;

/// The fleet and its store of pictures. The streams and buckets are created or checked first, unless the role has credentials of its
/// own: those do not suffice for that.
///
/// # Errors
///
/// [`FleetError`].
pub(super) async fn connect(config: &FleetConfig, role: Role) -> Result<(Fleet, Objects), FleetError> {
    let place = &config.place;
    let has_user = place.servers.iter().any(|server| server.contains('@'));
    if place.credentials.is_none() && place.nkey.is_none() && !has_user {
        Fleet::set_up(place).await?;
    }
    let fleet = Fleet::open(place, role).await?;
    let objects = Objects::open(&config.artifacts)?;
    if let Some(monitor) = &config.monitor {
        match durability(monitor).await {
            Ok(found) => found.warning().iter().for_each(|warning| tracing::warn!(monitor, "{warning}")),
            Err(error) => tracing::warn!(monitor, %error, "it is not known when NATS writes to its disk"),
        }
    }
    tracing::info!(fleet = place.fleet, nats = place.servers_shown(), role = role.name(), "joined the fleet");
    Ok((fleet, objects))
}
