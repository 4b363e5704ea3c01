"""Trains SD-Anime, a small model of Stable Diffusion XL's topology, on the same figures with lists of tags alone."""
