"""Trains the small checkpoint that Sakuga embeds, from figures that Sakuga draws."""
