"""The fixture set of this repository: one module a network, each with its sizes, weights, values and cases."""
