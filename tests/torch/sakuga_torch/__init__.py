"""The networks of NewBie-image in plain PyTorch: what `sakuga-model` is compared with at full size."""
