"""Tables and pictures, shared by the studies."""
